//! Enough open files for the users, made sure of before the climb instead of discovered at user 1000.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::LoadError;

/// Files that `users` need: two connections each (the site, and an object store for uploads), and some for ourselves.
pub(super) fn needed(users: u32) -> u64 {
    u64::from(users) * 2 + 64
}

/// Raises the soft limit to the hard one if need be; an error when even that is too little.
pub(super) fn ensure(users: u32) -> Result<(), LoadError> {
    let needed = needed(users);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|soft| soft >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum.or(Some(needed)), maximum: limit.maximum };
    let enough = limit.maximum.is_none_or(|hard| hard >= needed);
    if enough && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    let allowed = if enough { limit.current } else { limit.maximum };
    Err(LoadError::OpenFiles { users, needed, allowed: allowed.unwrap_or_default() })
}

/// Files this process may open now; 0 when there is no limit.
pub(super) fn allowed() -> u32 {
    getrlimit(Resource::Nofile).current.map_or(0, |soft| u32::try_from(soft).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_names_the_number_needed() {
        assert!(ensure(1).is_ok());
        let hard = getrlimit(Resource::Nofile).maximum;
        if hard.is_some_and(|hard| hard < needed(u32::MAX)) {
            let said = ensure(u32::MAX).unwrap_err().to_string();
            assert!(said.contains(&needed(u32::MAX).to_string()), "{said}");
        }
    }
}
