//! Addresses as people write them, and what is made of each.

use super::*;
use crate::domain::secret::Secret;

fn read(address: &str) -> Result<Address, String> {
    let secret = Secret::new(address.to_owned());
    Address::read(&Key { variable: "DATABASE_URL".to_owned(), secret }).map_err(|e| e.to_string())
}

/// What stays of a text without these two parameters.
fn without(text: &str) -> String {
    sift(text, &mut |name, _| !["sslmode", "sslrootcert"].contains(&name))
}

#[test]
fn tls_is_spoken_as_libpq_would() {
    let file = |path: &str| Some(PathBuf::from(path));
    for (parameters, mode, check, roots) in [
        ("", SslMode::Prefer, Check::Nothing, None),
        ("sslmode=", SslMode::Prefer, Check::Nothing, None),
        ("sslmode=disable", SslMode::Disable, Check::Nothing, None),
        ("sslmode=allow", SslMode::Prefer, Check::Nothing, None),
        ("sslmode=prefer", SslMode::Prefer, Check::Nothing, None),
        ("sslmode=require", SslMode::Require, Check::Nothing, None),
        ("ssl=true", SslMode::Require, Check::Nothing, None),
        ("sslmode=verify-ca", SslMode::Require, Check::Issuer, None),
        ("sslmode=verify-full", SslMode::Require, Check::Name, None),
        ("sslmode=require&sslrootcert=/ca.pem", SslMode::Require, Check::Issuer, file("/ca.pem")),
        ("sslrootcert=%2Fmy%20ca.pem&sslmode=verify-full", SslMode::Require, Check::Name, file("/my ca.pem")),
        ("sslrootcert=/ca.pem", SslMode::Prefer, Check::Issuer, file("/ca.pem")),
        ("sslrootcert=system", SslMode::Require, Check::Name, None),
        ("sslrootcert=system&sslmode=verify-full", SslMode::Require, Check::Name, None),
        (
            "pgbouncer=true&sslmode=require&connection_limit=1&gssencmode=disable",
            SslMode::Require,
            Check::Nothing,
            None,
        ),
        ("channel_binding=require&sslmode=require&connect_timeout=9", SslMode::Require, Check::Nothing, None),
    ] {
        let read = read(&format!("postgres://u:p@h:5433/d?{parameters}")).unwrap();
        assert_eq!(read.config.get_ssl_mode(), mode, "{parameters}");
        assert_eq!((read.trust.check, read.trust.roots), (check, roots), "{parameters}");
        assert_eq!((read.config.get_dbname(), read.config.get_ports()), (Some("d"), &[5433][..]), "{parameters}");
    }
    let own = read("postgres://u:p@h/d?sslcert=/c.pem&sslkey=/k.pem").unwrap().trust.own;
    assert_eq!(own, Some(("/c.pem".into(), "/k.pem".into())));
}

#[test]
fn only_what_was_asked_for_is_taken_out() {
    for (text, left) in [
        ("postgres://u:p@h/d", "postgres://u:p@h/d"),
        ("postgres://u:p@h/d?sslmode=require", "postgres://u:p@h/d"),
        ("postgresql://u:p@h/d?sslmode=require&", "postgresql://u:p@h/d"),
        ("postgres://u:p%3F@h/d?options=-c%20a%3Db&sslmode=x", "postgres://u:p%3F@h/d?options=-c%20a%3Db"),
        ("postgres://u:p?sslmode=x@h/d?ssl%6Dode=require&a=b", "postgres://u:p?sslmode=x@h/d?a=b"),
        ("postgres://h?sslmode=require", "postgres://h"),
        ("host=h sslmode=verify-full user=u", "host=h user=u"),
        ("host = h  sslrootcert = '/my ca.pem' password='it\\'s sslmode=x'", "host = h password='it\\'s sslmode=x'"),
        (r"password=a\ b sslmode=require", r"password=a\ b"),
        ("host=h password='open", "host=h password='open"),
        ("nothing of the kind", "nothing of the kind"),
        ("", ""),
    ] {
        assert_eq!(without(text), left);
    }
    let words = read("host=h user=u password='a b' dbname=d sslmode=verify-ca").unwrap();
    assert_eq!(words.config.get_password(), Some(&b"a b"[..]));
    assert_eq!((words.config.get_ssl_mode(), words.trust.check), (SslMode::Require, Check::Issuer));
}

#[test]
fn hosts_that_are_no_names_are_reached_too() {
    let socket = read("host=/run/pg user=u sslmode=require").unwrap().config;
    assert_eq!(socket.get_ssl_mode(), SslMode::Disable, "there is no TLS over a socket");
    let number = read("hostaddr=10.0.0.7 user=u sslmode=require").unwrap().config;
    assert_eq!(number.get_hosts(), [Host::Tcp("10.0.0.7".to_owned())]);
}

#[test]
fn a_refusal_names_the_parameter_and_nothing_else() {
    for (address, words) in [
        ("postgres://u:geheim@h/geheim?foo=geheim", &["parameter foo,", "DATABASE_URL"][..]),
        ("foo=geheim host=h password=geheim", &["parameter foo,"]),
        ("postgres://u:geheim@h/d?passfile=/geheim", &["parameter passfile,"]),
        ("postgres://u:geheim@h/d?sslmode=geheim", &["no such sslmode", "verify-full"]),
        ("postgres://u:geheim@h/d?sslmode=require&sslrootcert=system", &["sslrootcert=system", "sslmode=verify-full"]),
        ("postgres://u:geheim@h/d?sslcert=/geheim", &["sslcert and sslkey", "write both"]),
        ("postgres://u:geheim@h/d?target_session_attrs=geheim", &["target_session_attrs in DATABASE_URL"]),
        ("postgres://u:geheim@h:geheim/d", &["port in DATABASE_URL"]),
        // These may be pieces of a password.
        ("host=h password=ge heim=x", &["does not hold a PostgreSQL address"]),
        ("postgres://u:ge@im?heim=@h/d", &["does not hold a PostgreSQL address"]),
        ("mysql://u:geheim@h/d?sslmode=geheim", &["does not hold a PostgreSQL address", "postgres://"]),
        ("geheim", &["does not hold a PostgreSQL address"]),
    ] {
        let said = read(address).err().unwrap();
        assert!(words.iter().all(|word| said.contains(word)), "{address}: {said}");
        assert!(!said.contains("heim"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_by_its_parameter() {
    let address = read("postgres://u:p@h/d?sslmode=verify-full&sslrootcert=/geheim.pem").unwrap();
    let said = address.tls().err().unwrap().to_string();
    assert!(said.contains("sslrootcert in DATABASE_URL") && !said.contains("geheim"), "{said}");
    assert!(read("postgres://u:p@h/d?sslmode=require").unwrap().tls().is_ok());
}
