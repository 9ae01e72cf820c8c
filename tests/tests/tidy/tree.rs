//! The files of the repository that people write.

use std::path::Path;
use std::sync::OnceLock;

use portcullis_tests::requirement::repository;

/// Folders that hold nothing written by hand.
const PASSED_OVER: [&str; 5] =
    [".git", "target", "tests/fuzz/corpus", "tests/fuzz/artifacts", "tests/fuzz/target"];

/// One text file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether the path ends in that.
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        self.path.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
    }

    /// Whether it is a program in any language.
    pub(crate) fn is_code(&self) -> bool {
        ["rs", "c", "h"].iter().any(|extension| self.has_extension(extension))
            || self.text.starts_with("#!/")
            || self.path.starts_with("scripts/")
    }

    /// The lines that fit, numbered from 1.
    pub(crate) fn lines_that(
        &self,
        is_meant: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(move |(_, line)| is_meant(line))
    }

    /// Whether both are in one folder.
    pub(crate) fn is_beside(&self, other: &SourceFile) -> bool {
        let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        self.path != other.path && folder(&self.path) == folder(&other.path)
    }

    /// Whether a `mod` line for `child` would stand here.
    pub(crate) fn is_parent_module_of(&self, child: &SourceFile) -> bool {
        let Some((folder, _)) = child.path.rsplit_once('/') else { return false };
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        let of_folder = if child.path.ends_with("/mod.rs") { above } else { folder };
        ["lib.rs", "main.rs", "mod.rs"]
            .iter()
            .any(|root| self.path == format!("{of_folder}/{root}"))
            || self.path == format!("{of_folder}.rs")
    }
}

/// Every text file of the repository, read once.
pub(crate) fn source_files() -> &'static [SourceFile] {
    static FILES: OnceLock<Vec<SourceFile>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = Vec::new();
        collect(repository(), "", &mut files);
        assert!(files.len() > 20, "the repository was not found at {}", repository().display());
        files
    })
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    let entries = std::fs::read_dir(folder).expect("the repository can be read");
    for entry in entries.flatten() {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if PASSED_OVER.contains(&path.as_str()) || entry.path().is_symlink() {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.push(SourceFile { path, text });
        }
    }
}

/// The module a file makes, where another file has to declare it: not for crate roots, binaries,
/// integration tests and build scripts. A folder's `#[path]` modules are declared by the test.
pub(crate) fn module_name(path: &str) -> Option<String> {
    let (_, inside) = path.split_once("src/")?;
    let stem = inside.strip_suffix(".rs")?;
    if ["lib", "main"].contains(&stem) || stem.starts_with("bin/") {
        return None;
    }
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    stem.rsplit('/').next().map(str::to_owned)
}

/// The names of the folders in a folder of the repository.
pub(crate) fn folders_in(path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(path));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// How many files there are below a folder of the repository.
pub(crate) fn files_below(path: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(repository().join(path)) else { return 0 };
    let below = |name: &str| files_below(&format!("{path}/{name}"));
    entries
        .flatten()
        .map(|entry| match entry.path().is_dir() {
            true => below(&entry.file_name().to_string_lossy()),
            false => 1,
        })
        .sum()
}
