//! Past ramps out of the run logs, for checks that compare this ramp with earlier ones.

use std::path::Path;

use crate::domain::measurement::RampRecord;
use crate::domain::ramps::Ramps;

use super::{StoreError, log};

/// All ramps in a folder of logs, the newest last, and a line for every log that could not be used.
///
/// A damaged old log costs its own ramps: with fewer of them to compare, checks say less, never more.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn gather(folder: &Path) -> Result<(Vec<RampRecord>, Vec<String>), StoreError> {
    let (mut records, mut notes) = (Vec::new(), Vec::new());
    for (_, path) in log::list(folder)? {
        match of_log(&path) {
            Ok(found) => records.extend(found),
            Err(error) => notes.push(format!("its ramps are not compared with: {error}")),
        }
    }
    records.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    Ok((records, notes))
}

fn of_log(path: &Path) -> Result<Vec<RampRecord>, StoreError> {
    let mut ramps = Ramps::default();
    Ok(log::read(path, 0)?.iter().filter_map(|event| ramps.see(event)).collect())
}
