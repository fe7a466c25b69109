//! Secrets that must not be told, and folders that are hard to read.

use super::*;

#[test]
fn no_secret_of_a_project_is_told() {
    let settings = format!(
        "{BASE}SECRET_KEY = 'hunter-literal'\nimport sentry_sdk, dj_database_url\n\
        sentry_sdk.init(dsn='https://hunter-dsn@sentry.example/1')\nif os.environ.get('API_KEY') == 'hunter-compared':\n    SESSION_ENGINE = 'x'\n\
        DATABASES['default'] = dj_database_url.parse('postgres://u:hunter-url@h/d', conn_max_age=1)\n\
        CACHES = {{'default': {{'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': 'redis://:hunter-redis@h'}}}}\nCELERY_BROKER_URL = 'redis://:hunter-broker@h'\n"
    );
    let files = [
        ("manage.py", MANAGE),
        ("shop/settings.py", settings.as_str()),
        (".env", "SECRET_KEY=hunter-env\nDJANGO_SETTINGS_MODULE=shop.settings\n"),
        ("Procfile", "web: SECRET_KEY=hunter-proc gunicorn -w 2 -k hunter2tok shop.wsgi\n"),
    ];
    let found = scan(&files);
    assert_eq!(fact(&found, "server").detail.as_deref(), Some("-w 2 -k"));
    let told = serde_json::to_string(&found).unwrap();
    assert!(!told.contains("hunter"), "{told}");
    for (options, wanted) in [
        ("-k gthread --threads=4", "-k gthread --threads=4"),
        ("--worker-class uvicorn.workers.UvicornWorker", "--worker-class uvicorn.workers.UvicornWorker"),
        ("--preload shop.wsgi", "--preload"),
    ] {
        let process = format!("web: gunicorn {options}\n");
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("Procfile", &process)]);
        assert_eq!(fact(&found, "server").detail.as_deref(), Some(wanted), "{options}");
    }
    for name in ["ADMIN_PIN", "PEPPER"] {
        let engine = "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'";
        let text = format!("if os.environ.get('{name}') == 'hunter2':\n    {engine}");
        let found = format!("{:?}", of_settings(&text, "session_engine"));
        assert!(found.contains(name) && !found.contains("hunter"), "{found}");
    }
    let base = BASE.replace("APPS = []", "APPS = ['shop']");
    for file in ["shop/wsgi.py", "shop/asgi.py", "shop/apps.py"] {
        let code = "import sentry_sdk\nsentry_sdk.init(dsn='https://hunter-dsn@sentry.example/1')\n";
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &base), (file, code)]);
        assert_eq!(told_of(&found, "sentry"), ("yes", "always"), "{file}");
        let told = serde_json::to_string(&found).unwrap();
        assert!(!told.contains("hunter"), "{told}");
    }
    let odd = scan(&[
        ("manage.py", MANAGE),
        ("shop/settings.py", BASE),
        ("requirements.txt", "Django==5.0\n"),
        ("a\u{1b}[31m/Procfile", "web: gunicorn x\n"),
    ]);
    assert!(!serde_json::to_string(&odd).unwrap().contains("\\u001b"), "control characters are stripped");
}

#[test]
fn whatever_a_folder_holds_it_ends_in_words() {
    let root = project(&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("shop/urls.py", "urlpatterns = []\n")]);
    let at = root.path();
    symlink("..", at.join("shop/up")).unwrap();
    symlink("/etc/hostname", at.join("shop/local_settings.py")).unwrap();
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain("Django==5.2\r\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    write(at, "requirements.txt", &utf16);
    assert_eq!(fact(&Scan::read(at).unwrap(), "django_version").value, "==5.2");

    for (text, remarks) in [
        (format!("print 'old'\n{BASE}exec 'x'\n"), 1),
        (format!("{BASE}x = [1,\ny = = 2\ndef (\n"), 1),
        (format!("{BASE}X = {}1{}\n", "(".repeat(5000), ")".repeat(5000)), 1),
        (format!("{BASE}X = {}\n", vec!["'a'"; 20_000].join(" + ")), 0),
        (format!("{BASE}def f(n):\n    return f(n + 1) if n else f(n - 1)\nX = f(1)\nwhile True:\n    X = f(X)\n"), 0),
        (format!("{BASE}{{% if x %}}\nA = 1\n{{% endif %}}\n"), 0),
    ] {
        write(at, "shop/settings.py", text.as_bytes());
        let found = Scan::read(at).unwrap();
        assert_eq!((found.facts.len(), found.remarks.len()), (25, remarks), "{}", &text[..text.len().min(300)]);
    }
    for bytes in [vec![b'#'; 3 << 20], vec![0; 9]] {
        write(at, "shop/settings.py", &bytes);
        let sentry = fact(&Scan::read(at).unwrap(), "sentry").clone();
        assert_eq!(sentry.value, "unknown");
        assert!(sentry.why.unwrap().contains("shop/settings.py"));
    }
    let nothing = project(&[("readme.txt", "")]);
    assert!(matches!(Scan::read(nothing.path()), Err(DjangoError::NoProject { .. })));
    assert!(matches!(Scan::read(Path::new("/no/such/folder")), Err(DjangoError::Folder { .. })));
}

#[test]
fn what_grows_without_end_ends_in_words() {
    let began = std::time::Instant::now();
    let many = |line: &dyn Fn(usize) -> String, times: usize| (0..times).map(line).collect::<String>();
    let doubled = |first: &str, line: &str| format!("{first}\n{}", format!("{line}\n").repeat(40));
    let engine = "SESSION_ENGINE = S\n";
    for text in [
        doubled("S = 'ab'", "S = S + S"),
        doubled("S = 'ab'", "S += S"),
        doubled("S = 'ab'", "S = S * 1000"),
        doubled("S = 'ab'", "S = f'{S}{S}'"),
        doubled("S = 'ab'", "S = '{}{}'.format(S, S)"),
        doubled("S = 'ab'", "S = '%s%s' % (S, S)"),
        doubled("S = 'ab'", "S = S.join([S, S, S])"),
        doubled("S = 'ab'", "S = S.replace('a', S)"),
        doubled("S = os.environ['S']", "S = S + S"),
        doubled("S = ['a']", "S = S + S"),
        doubled("S = ['a']", "S.extend(S)"),
        doubled("S = ['a']", "S = [*S, *S]"),
        doubled("S = ['a']", "S = [S, S]"),
        doubled("S = {'a': 1}", "S = {'b': S, 'c': S}"),
        doubled("S = x()", "S = f(S, S)"),
        format!("S = {{}}\n{}", many(&|n| format!("S['k{n}'] = 1\n"), 9_000)),
    ] {
        let found = of_settings(&format!("{text}{engine}"), "session_engine");
        assert_eq!(found.value, "unknown", "{}", &text[..60]);
    }
    let chain = many(&|n| format!("elif os.environ.get('V') == '{n}':\n    A = {n}\n"), 60_000);
    let cases = many(&|n| format!("    case '{n}':\n        A = {n}\n"), 20_000);
    let names = many(&|n| format!("N{n} = {n}\n"), 3_000);
    for text in [
        format!("if DEBUG:\n    pass\n{chain}"),
        format!("match os.environ.get('V'):\n{cases}"),
        format!("{names}{}", many(&|n| format!("if os.environ.get('V{n}'):\n    A = {n}\n"), 6_000)),
        format!("{names}def f():\n    return 1\n{}", many(&|_| "f()\n".to_owned(), 6_000)),
        format!("A = {{}}\n{}", many(&|n| format!("if os.environ.get('V{n}'):\n    A['k{n}'] = {n}\n"), 30_000)),
        many(&|n| format!("if os.environ.get('V{n}'):\n    MIDDLEWARE += ['m{n}']\n"), 30_000),
    ] {
        let found = of_settings(&text, "sentry");
        assert_eq!(found.value, "unknown", "{}", &text[..60]);
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
