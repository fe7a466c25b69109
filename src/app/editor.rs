//! The person's own editor at a file's line.

use std::path::Path;

use tokio::process::Command;

use crate::domain::spot::Spot;

/// Opens it and waits until it is closed. `editor` is a program and its flags, as `VISUAL` and `EDITOR` hold them.
///
/// # Errors
/// No editor, no such file in the project, or an editor that failed; in words for a person.
pub async fn open(editor: Option<&str>, project: &Path, spot: &Spot) -> Result<(), String> {
    let mut words = editor.unwrap_or_default().split_whitespace();
    let program = words.next().ok_or("no editor is set; export EDITOR=vim, or another one, and start again")?;
    let root = project.canonicalize().map_err(|why| format!("{}: {why}", project.display()))?;
    let file = root.join(&spot.file).canonicalize().map_err(|_| format!("{} is not in this project", spot.file))?;
    if !file.starts_with(&root) {
        return Err(format!("{} is not in this project", spot.file));
    }
    let done = Command::new(program)
        .args(words)
        .args(place(program, &file.to_string_lossy(), spot.line.unwrap_or(1)))
        .current_dir(&root)
        .kill_on_drop(true)
        .status()
        .await;
    match done {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(why) => Err(format!("{program} does not start: {why}")),
    }
}

/// How this editor is told a line.
fn place(program: &str, file: &str, line: usize) -> Vec<String> {
    let name = Path::new(program).file_name().map_or(program.into(), |name| name.to_string_lossy());
    match &*name {
        "code" | "code-insiders" | "codium" | "cursor" | "windsurf" => {
            vec!["--wait".to_owned(), "--goto".to_owned(), format!("{file}:{line}")]
        }
        "subl" | "zed" => vec!["--wait".to_owned(), format!("{file}:{line}")],
        "hx" | "helix" => vec![format!("{file}:{line}")],
        _ => vec![format!("+{line}"), file.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_opened_and_nothing_outside_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("shop");
        std::fs::create_dir(&project).unwrap();
        crate::store::atomic::write(&project.join("settings.py"), b"A = 1\n").unwrap();
        crate::store::atomic::write(&folder.path().join("other.py"), b"").unwrap();
        let spot = |file: &str| Spot { file: file.to_owned(), line: Some(7) };
        assert_eq!(open(Some("true -x"), &project, &spot("settings.py")).await, Ok(()));
        let refused = |editor: Option<&'static str>, file: &'static str| {
            let project = project.clone();
            async move { open(editor, &project, &spot(file)).await.unwrap_err() }
        };
        assert!(refused(None, "settings.py").await.contains("EDITOR"));
        assert!(refused(Some("true"), "../other.py").await.contains("not in this project"));
        assert!(refused(Some("true"), "gone.py").await.contains("not in this project"));
        assert!(refused(Some("false"), "settings.py").await.contains("ended with"));
        assert!(refused(Some("no-such-editor"), "settings.py").await.contains("does not start"));
    }

    #[test]
    fn each_editor_is_told_in_its_own_way() {
        assert_eq!(place("vim", "a.py", 3), ["+3", "a.py"]);
        assert_eq!(place("/usr/bin/code", "a.py", 3), ["--wait", "--goto", "a.py:3"]);
        assert_eq!(place("hx", "a.py", 3), ["a.py:3"]);
    }
}
