//! The kind of file system of a file, from Linux's `/proc/self/mountinfo`. Pure except for [`of`].

use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of file systems that are gone with the machine's memory or with a container.
const PASSING: &[(&str, &str)] = &[
    (
        "tmpfs",
        "it is in memory, and is lost when the machine or the container restarts",
    ),
    (
        "ramfs",
        "it is in memory, and is lost when the machine restarts",
    ),
    (
        "overlay",
        "it is in the container's own layer, which is lost when the container is recreated",
    ),
    (
        "aufs",
        "it is in the container's own layer, which is lost when the container is recreated",
    ),
];

/// Why what is stored in a file will not last: the kind of its file system, and what that means.
pub(super) fn passing(file: &Path) -> Option<(String, &'static str)> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let path = file.canonicalize().ok()?;
    let kind = of(&path, &table)?;
    let (_, why) = PASSING.iter().find(|(name, _)| *name == kind)?;
    Some((kind.to_owned(), why))
}

/// The kind of the file system that is mounted nearest above a path. In a line the mount point is
/// field 5, and the kind is the first field after a lone dash (proc_pid_mountinfo(5)).
fn of<'t>(path: &Path, table: &'t str) -> Option<&'t str> {
    let mounts = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = PathBuf::from(unescaped(left.split(' ').nth(4)?));
        let depth = point.components().count();
        path.starts_with(&point)
            .then_some((depth, right.split(' ').next()?))
    });
    // Of two that are mounted on one point, the later one is seen.
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// A space in a path is written as `\040` there.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ")
}

#[cfg(test)]
mod tests {
    use super::of;
    use std::path::Path;

    const TABLE: &str = "\
24 1 0:22 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/l
25 24 8:1 / /data rw - ext4 /dev/sda1 rw
26 24 0:30 / /tmp rw - tmpfs tmpfs rw
27 24 0:31 / /my\\040data rw - xfs /dev/sdb rw";

    #[test]
    fn the_nearest_mount_counts() {
        for (path, kind) in [
            ("/app/chat.db", "overlay"),
            ("/data/chat.db", "ext4"),
            ("/database/chat.db", "overlay"),
            ("/tmp/x/chat.db", "tmpfs"),
            ("/my data/chat.db", "xfs"),
        ] {
            assert_eq!(of(Path::new(path), TABLE), Some(kind), "{path}");
        }
    }
}
