//! Which account the services run as. PostgreSQL and PgBouncer refuse root, so root's rights are dropped for all of them.

use super::error::{LabError, Result};

/// An unprivileged account of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, for messages.
    pub name: String,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// True when this process has root's rights.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The account to drop to: none when we are an ordinary user already.
///
/// # Errors
/// When we are root and the machine has no unprivileged account to use.
pub fn unprivileged() -> Result<Option<Account>> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&passwd, "nobody").map(Some).ok_or(LabError::NoAccount)
}

/// Reads one line of `passwd(5)`: name:password:uid:gid:comment:home:shell.
fn find(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (uid != 0).then(|| Account { name: name.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_account_and_never_root() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:7::/:/\nnobody:x:65534:65533:nobody:/:/\nfake:x:0:1::/:/";
        assert_eq!(find(passwd, "nobody"), Some(Account { name: "nobody".into(), uid: 65534, gid: 65533 }));
        assert_eq!(find(passwd, "fake"), None);
        assert_eq!(find(passwd, "nob"), None);
    }
}
