//! Databases that want TLS, on the real servers: PostgreSQL of the practice stack and a Redis beside it, with a
//! certificate for `localhost` that nobody else has signed.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rampup::domain::secret::Secret;
use rampup::domain::site::Key;
use rampup::lab::Lab;
use rampup::probes::postgres::Postgres;
use rampup::probes::redis::Redis;
use rampup::probes::{ProbeError, path};

use super::lab::telling;
use super::rampup;

fn key(variable: &str, address: &str) -> Key {
    Key { variable: variable.to_owned(), secret: Secret::new(address.to_owned()) }
}

/// The healthy variant of step 9, in which the monitoring role may not come in without TLS.
pub async fn story(dir: &Path) {
    let progress = telling();
    assert_eq!(rampup(&["lab", "climbed", "9", "--lab", dir.to_str().unwrap()]).0, 0);
    let mut lab = Lab::open(dir).unwrap();
    lab.broken_by(BTreeSet::from(["database-over-tls".to_owned()]), &progress).await.unwrap();
    let direct = lab.environment().into_iter().find(|(name, _)| *name == "DATABASE_DIRECT_URL").unwrap().1;
    // The name is for the certificate; the server listens on one address alone.
    let direct = direct.expose().replace("@127.0.0.1:", "@localhost:") + "?hostaddr=127.0.0.1";
    let certificate = lab.layout().cluster().join("server.crt");
    postgres(&direct, certificate.to_str().unwrap()).await;
    redis(&lab.layout().cluster()).await;
    lab.broken_by(BTreeSet::new(), &progress).await.unwrap();
    assert_eq!(over_tls(&direct).await.unwrap().as_deref(), Some("f"), "the stack's own traffic is plain");
}

/// Whether the server says that our connection is encrypted.
async fn over_tls(address: &str) -> Result<Option<String>, ProbeError> {
    let postgres = Postgres::connect(&key("DATABASE_URL", address), "PostgreSQL").await?;
    let rows = postgres.rows("select ssl from pg_stat_ssl where pid = pg_backend_pid()").await?;
    Ok(rows.first().and_then(|row| row.get(0)).map(str::to_owned))
}

async fn postgres(address: &str, certificate: &str) {
    let number = address.replace("@localhost:", "@127.0.0.1:");
    for address in [
        address.to_owned(),
        format!("{address}&sslmode=require"),
        format!("{address}&sslmode=verify-ca&sslrootcert={certificate}"),
        format!("{address}&sslmode=verify-full&sslrootcert={certificate}"),
        format!("{number}&sslmode=require&channel_binding=require"),
        format!("{number}&sslmode=verify-ca&sslrootcert={certificate}"),
    ] {
        assert_eq!(over_tls(&address).await.unwrap().as_deref(), Some("t"));
        let behind = path::behind(&key("DATABASE_URL", &address)).await.unwrap();
        assert!(!behind.pooled(), "{behind:?}");
    }
    for (address, words) in [
        (format!("{address}&sslmode=disable"), ["it wants TLS", "sslmode=require"]),
        (format!("{address}&sslmode=verify-full"), ["not trusted", "sslrootcert=FILE"]),
        (format!("{address}&sslrootcert=system"), ["not trusted", "sslmode=require"]),
        (format!("{number}&sslmode=verify-full&sslrootcert={certificate}"), ["not for the host", "sslmode=verify-ca"]),
    ] {
        let said = over_tls(&address).await.unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)) && said.contains("DATABASE_URL"), "{said}");
        assert!(!said.contains("localhost") && !said.contains("postgres://") && !said.contains(certificate), "{said}");
    }
}

/// A Redis of our own, ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

async fn redis(certificates: &Path) {
    let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
    let (plain, tls, certificate) = (free_port(), free_port(), file("server.crt"));
    let key_file = file("server.key");
    let mut command = Command::new("redis-server");
    command.args(["--port", &plain, "--tls-port", &tls, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--tls-cert-file", &certificate, "--tls-key-file", &key_file, "--tls-auth-clients", "no"]);
    let _server = Server(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let limit = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(format!("127.0.0.1:{tls}")).is_err() {
        assert!(Instant::now() < limit, "Redis does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connect = async |address: String| Redis::connect(&key("BROKER_URL", &address), "the job broker's Redis").await;
    for address in [
        format!("redis://localhost:{plain}/2"),
        format!("rediss://localhost:{tls}/2?ssl_cert_reqs=CERT_NONE"),
        format!("rediss://localhost:{tls}/2?ssl_ca_certs={certificate}&health_check_interval=30"),
        format!("rediss://127.0.0.1:{tls}/2?ssl_ca_certs={certificate}&ssl_check_hostname=false"),
    ] {
        let redis = connect(address).await.unwrap();
        assert_eq!((redis.info().await.unwrap().text("tcp_port"), redis.database()), (Some(plain.as_str()), 2));
    }
    for (address, words) in [
        (format!("rediss://localhost:{tls}/0"), ["not trusted", "ssl_cert_reqs=none"]),
        (format!("rediss://127.0.0.1:{tls}/0?ssl_ca_certs={certificate}"), ["not for the host", "ssl_check_hostname"]),
        (format!("rediss://localhost:{plain}/0?ssl_cert_reqs=none"), ["TLS", "redis:// instead of rediss://"]),
        (format!("redis://localhost:{tls}/2"), ["an answer that Redis gives", "rediss://"]),
    ] {
        let said = connect(address).await.unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)) && said.contains("BROKER_URL"), "{said}");
        assert!(!said.contains("localhost") && !said.contains(&certificate), "{said}");
    }
}
