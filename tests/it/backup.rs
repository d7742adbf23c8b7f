//! The backup that is made before anything is destroyed, and how it comes back.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::{report, text};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

on_each_bed! {
    a_loss_is_put_by_first_and_comes_back
    what_a_run_made_is_gone_after_a_restore
    without_a_backup_nothing_is_destroyed
    a_backup_is_made_when_it_is_asked_for
    a_damaged_backup_changes_nothing
    a_backup_that_changed_since_is_refused
    only_the_newest_backups_are_kept
    what_is_refused_leaves_no_backup
}

on_each_bed! { on_postgres Postgres: without_its_programs_nothing_is_run the_password_is_in_no_list_of_processes }
on_each_bed! { on_mariadb Mysql: former_versions_of_rows_come_back option_files_change_no_backup what_the_server_keeps_comes_back a_view_of_nothing_is_named }
on_each_bed! { by_own_path Postgres: what_functions_find_by_the_path_comes_back }
on_each_bed! { on_mysql Mysql: without_its_programs_nothing_is_run the_password_is_in_no_list_of_processes }

const BEGIN: &str = "
CREATE TABLE conversations (id BIGINT PRIMARY KEY, title VARCHAR(100) NOT NULL);
CREATE TABLE messages (id BIGINT PRIMARY KEY, conversation_id BIGINT NOT NULL REFERENCES conversations (id), body TEXT);
CREATE INDEX messages_of_conversation ON messages (conversation_id);
INSERT INTO conversations VALUES (1, 'ä \u{1f600}'), (2, '');
INSERT INTO messages VALUES (1, 1, 'it''s'), (2, 1, NULL), (3, 2, 'a\nb'), (4, 2, '');
";
const LOSS: &str = "-- chatctl: allow-loss messages rows<=2 reason=\"they are old\"\nDELETE FROM messages WHERE id <= 2;\n";
const GROWTH: &str = "ALTER TABLE messages ADD COLUMN kind VARCHAR(10);\n";

/// The backups in a folder; each has its checksum next to it.
#[track_caller]
fn backups(folder: &Path) -> Vec<PathBuf> {
    let is_sum = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "sha256");
    let (sums, backups): (Vec<_>, Vec<_>) = crate::common::sites::files(folder)
        .into_iter()
        .partition(is_sum);
    let named = backups
        .iter()
        .map(|path| PathBuf::from(format!("{}.sha256", path.display())));
    assert_eq!(named.collect::<Vec<_>>(), sums);
    backups
}

/// The path that a run told that it made.
fn told_backup(stderr: &str) -> PathBuf {
    let line = stderr.lines().find(|line| line.contains("backup: "));
    let line = line.unwrap_or_else(|| panic!("no backup is told of: {stderr}"));
    let (_, path) = line.split_once("backup: ").unwrap();
    PathBuf::from(path.split_once(" (chatctl migrate restore ").unwrap().0)
}

/// The run of the journal that has this state, and what it says.
fn entry(site: &Site, state: &str) -> (String, String) {
    let (history, exit) = report(&mut site.bare(&["history"]));
    assert_eq!(exit, 0, "{history:#}");
    let cases = history["cases"].as_array().unwrap();
    let found = cases.iter().find_map(|case| {
        let reason = case["reason"].as_str().unwrap();
        reason
            .starts_with(&format!("{state} at "))
            .then(|| (case["name"].as_str().unwrap(), reason))
    });
    let (name, reason) = found.unwrap_or_else(|| panic!("no {state}: {history:#}"));
    let run = name.split(' ').next().unwrap();
    (run.to_owned(), reason.to_owned())
}

#[track_caller]
fn only_for_its_owner(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o} {}", path.display());
}

/// The schema and every row, without what chatctl writes about itself.
fn rows(site: &Site) -> Vec<String> {
    site.backend.tables(&site.url)
}

fn a_loss_is_put_by_first_and_comes_back(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let before = rows(&site);
    let (_, told) = site.passed(&["up", "--backup-dir", "aside"]);
    let after = rows(&site);
    assert_ne!(after, before);
    let backup = told_backup(&told);
    assert_eq!(backups(&site.folder.join("aside")), vec![backup.clone()]);
    only_for_its_owner(&backup);
    let (run, detail) = entry(&site, "backup");
    assert!(detail.ends_with(&backup.display().to_string()), "{detail}");
    assert!(
        told.contains(&format!("chatctl migrate restore {run}")),
        "{told}"
    );
    let (history, _) = report(&mut site.bare(&["history"]));
    let of_run = crate::common::case(&history, "version 2");
    assert!(
        of_run["name"].as_str().unwrap().starts_with(&run),
        "{history:#}"
    );

    // Somebody who is elsewhere finds it too.
    let mut restore = site.bare(&["restore", &run]);
    restore.arg("--backup-dir").arg(site.folder.join("now"));
    restore.current_dir("/");
    let (told, _) = crate::common::sites::passed(restore.output().unwrap());
    assert!(told.starts_with("restored from "), "{told}");
    assert_eq!(rows(&site), before, "every row is back");
    assert_eq!(site.status(), 10, "the second is pending again");
    assert!(
        entry(&site, "restored")
            .1
            .contains("the old database is in")
    );
    let now = backups(&site.folder.join("now"));
    assert_eq!(now.len(), 1, "{now:?}");
    only_for_its_owner(&now[0]);

    // And back once more: what was there when it was restored was put by as well.
    let path = now[0].display().to_string();
    crate::common::sites::passed(
        site.bare(&["restore", &path, "--backup-dir", "now"])
            .output()
            .unwrap(),
    );
    assert_eq!(rows(&site), after);
    assert_eq!(site.status(), 0);
    assert_eq!(backups(&site.folder.join("now")).len(), 2);
    site.left_nothing();
}

/// What the run made besides would keep the next run from making it again.
fn what_a_run_made_is_gone_after_a_restore(bed: &TestBed) {
    let more = format!(
        "{LOSS}CREATE TABLE notes (id BIGINT PRIMARY KEY, conversation_id BIGINT NOT NULL, FOREIGN KEY (conversation_id) REFERENCES conversations (id));
         INSERT INTO notes VALUES (1, 1);
         CREATE VIEW titles AS SELECT title FROM conversations;\n{}",
        match bed.backend {
            Backend::Sqlite => "CREATE TRIGGER t AFTER INSERT ON notes BEGIN SELECT 1; END;",
            Backend::Postgres =>
                "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE moods (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood);
                 CREATE FUNCTION one() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1';",
            Backend::Mysql => "CREATE PROCEDURE one() SELECT 1;",
        }
    );
    let site = bed.at("talk", &[BEGIN, &more]);
    let before = rows(&site);
    site.passed(&["up", "--backup-dir", "aside"]);
    let after = rows(&site);
    let (run, _) = entry(&site, "backup");
    crate::common::sites::passed(
        site.bare(&["restore", &run, "--backup-dir", "now"])
            .output()
            .unwrap(),
    );
    assert_eq!(rows(&site), before);
    site.passed(&["up", "--backup-dir", "aside"]);
    assert_eq!(rows(&site), after, "it runs again");
}

fn without_a_backup_nothing_is_destroyed(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let before = site.contents();
    let told = site.refused(&["up", "--backup", "never"]);
    assert!(
        told.contains("acknowledges a loss, which requires a backup"),
        "{told}"
    );
    assert_eq!(site.contents(), before);
    // Not even root makes a folder in a file.
    fs::write(site.folder.join("file"), "").unwrap();
    let told = site.refused(&["up", "--backup-dir", "file/aside"]);
    assert!(
        told.contains("file/aside") && told.contains("--backup-dir"),
        "{told}"
    );
    assert_eq!(site.contents(), before);
    assert_eq!(site.status(), 10);
    site.left_nothing();
}

fn a_backup_is_made_when_it_is_asked_for(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, GROWTH]);
    let aside = site.folder.join("aside");
    for (how, expected) in [("never", 0), ("always", 1)] {
        site.passed(&["up", "--backup-dir", "aside", "--backup", how]);
        assert_eq!(backups(&aside).len(), expected, "{how}");
        site.file("3_more.sql", "CREATE TABLE more (id BIGINT);\n");
    }
    site.passed(&["up", "--backup-dir", "aside", "--backup", "always"]);
    assert_eq!(backups(&aside).len(), 1, "there was nothing to do");
    site.file("4_yet_more.sql", "CREATE TABLE yet_more (id BIGINT);\n");
    site.passed(&["up", "--backup-dir", "aside"]);
    assert_eq!(backups(&aside).len(), 1, "nothing was destroyed");
    assert_eq!(site.status(), 0);
}

fn a_damaged_backup_changes_nothing(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let (_, told) = site.passed(&["up", "--backup-dir", "aside"]);
    let good = fs::read(told_backup(&told)).unwrap();
    let before = site.contents();
    let mut spoiled = good.clone();
    // A whole page of a file of SQLite: what is within the text of a row, it does not check.
    let spoil = match site.backend {
        Backend::Sqlite => 4096..8192,
        _ => good.len() / 2 - 60..good.len() / 2 + 60,
    };
    spoiled[spoil].fill(b'\'');
    // In the trial it would be this database, and not the empty one.
    let name = site.url.rsplit('/').next().unwrap_or_default();
    let selecting = match site.backend {
        Backend::Mysql => [format!("USE `{name}`;\n").as_bytes(), &good].concat(),
        Backend::Sqlite | Backend::Postgres => Vec::new(),
    };
    for (what, bytes) in [
        ("it selects its database", &selecting[..]),
        ("empty", &good[..0]),
        ("a tenth", &good[..good.len() / 10]),
        ("a half", &good[..good.len() / 2]),
        ("the end is missing", &good[..good.len() - 600]),
        ("spoiled in the middle", &spoiled),
        ("no backup at all", b"hello, I am no backup\n"),
    ] {
        let path = site.folder.join("damaged");
        fs::write(&path, bytes).unwrap();
        let mut restore = site.bare(&["restore", "damaged", "--backup-dir", "now"]);
        let output = restore.output().unwrap();
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(4), "{what}: {stdout}{stderr}");
        assert_eq!(site.contents(), before, "{what}: {stderr}");
    }
    site.left_nothing();
    let output = site
        .bare(&["restore", "20200101000000-0000"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (run, _) = entry(&site, "backup");
    assert!(
        text(&output).1.contains(&run),
        "it names the runs that there are"
    );
}

fn without_its_programs_nothing_is_run(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let before = site.contents();
    let package = match site.backend {
        Backend::Mysql => "apt-get install mariadb-client",
        _ => "apt-get install postgresql-client",
    };
    let mut up = site.command(&["up"]);
    let told = crate::common::sites::refused(up.env("PATH", site.tmp()).output().unwrap());
    assert!(told.contains(package), "{told}");
    assert_eq!(site.contents(), before);
    assert_eq!(
        crate::common::sites::files(&site.folder.join("chatctl-backups")),
        [] as [PathBuf; 0]
    );
    site.left_nothing();
}

/// Programs in front of the real ones write down how they were called.
fn the_password_is_in_no_list_of_processes(bed: &TestBed) {
    const SECRET: &str = "s3cret:@/ä";
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let (programs, variable) = match site.backend {
        Backend::Mysql => (&["mariadb-dump", "mariadb"] as &[&str], "MYSQL_PWD"),
        _ => (&["pg_dump", "pg_restore", "psql"] as &[&str], "PGPASSWORD"),
    };
    let folder = site.folder.join("fake");
    fs::create_dir(&folder).unwrap();
    for program in programs {
        let script = format!(
            "#!/bin/bash\ntr '\\0' '\\n' </proc/$$/cmdline >>'{folder}/seen'\nprintf '%s\\n' \"${variable}\" >>'{folder}/passwords'\n\
             PATH=${{PATH#*:}} exec {program} \"$@\"\n",
            folder = folder.display()
        );
        let path = folder.join(program);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let url = with_password(&site, SECRET);
    let migrate = |arguments: &[&str]| {
        let mut command = crate::common::chatctl();
        command
            .arg("migrate")
            .args(arguments)
            .env("DATABASE_URL", &url);
        command.env("PATH", &path).env("TMPDIR", site.tmp());
        command.current_dir(&site.folder).output().unwrap()
    };
    let (stdout, stderr) = crate::common::sites::passed(migrate(&["up"]));
    let (run, _) = entry(&site, "backup");
    let (more, more_notes) = crate::common::sites::passed(migrate(&["restore", &run]));
    let seen = fs::read_to_string(folder.join("seen")).unwrap();
    for program in programs {
        assert!(
            seen.contains(&format!("fake/{program}")),
            "{program} was not called: {seen}"
        );
    }
    let passwords = fs::read_to_string(folder.join("passwords")).unwrap();
    assert!(
        // Who is only asked for its version is given none.
        passwords.lines().filter(|line| !line.is_empty()).count() > 1
            && passwords
                .lines()
                .all(|line| line.is_empty() || line == SECRET),
        "{passwords}"
    );
    for told in [stdout, stderr, more, more_notes, seen] {
        assert!(!told.contains("s3cret"), "{told}");
    }
}

/// The URL of a user who has one, and all rights.
fn with_password(site: &Site, password: &str) -> String {
    let written: String = password
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let (sql, user) = match site.backend {
        Backend::Mysql => (
            format!(
                "CREATE USER clerk@'127.0.0.1' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO clerk@'127.0.0.1'"
            ),
            "root@",
        ),
        _ => (
            format!("CREATE ROLE clerk SUPERUSER LOGIN PASSWORD '{password}'"),
            "postgres@",
        ),
    };
    site.texts(&sql);
    site.url.replace(user, &format!("clerk:{written}@"))
}

/// A digit in a row can change without any tool noticing: the checksum does.
fn a_backup_that_changed_since_is_refused(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    let (_, told) = site.passed(&["up", "--backup-dir", "aside"]);
    let backup = told_backup(&told);
    let sum = PathBuf::from(format!("{}.sha256", backup.display()));
    only_for_its_owner(&sum);
    let mut check = std::process::Command::new("sha256sum");
    check
        .arg("--check")
        .arg(&sum)
        .current_dir(site.folder.join("aside"));
    assert!(
        check.output().unwrap().status.success(),
        "it is a file of sha256sum"
    );
    let (before, good) = (site.contents(), fs::read(&backup).unwrap());
    let mut changed = good.clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    let (run, _) = entry(&site, "backup");
    fs::write(&backup, &changed).unwrap();
    for from in [run.as_str(), backup.to_str().unwrap()] {
        let told = crate::common::sites::refused(
            site.bare(&["restore", from, "--backup-dir", "now"])
                .output()
                .unwrap(),
        );
        assert!(told.contains("was changed after it was made"), "{told}");
        assert_eq!(site.contents(), before);
    }
    assert!(
        backups(&site.folder.join("now")).is_empty(),
        "it is refused first of all"
    );
    // Without the checksum it is only looked whether it can be read, and that is said.
    fs::write(&backup, &good).unwrap();
    fs::remove_file(&sum).unwrap();
    let (_, told) = crate::common::sites::passed(
        site.bare(&["restore", &run, "--backup-dir", "now"])
            .output()
            .unwrap(),
    );
    assert!(told.contains("there is no checksum next to"), "{told}");
    assert_eq!(site.status(), 10);
}

fn only_the_newest_backups_are_kept(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN]);
    let aside = site.folder.join("aside");
    let step = |number: u32, arguments: &[&str]| {
        site.file(
            &format!("{number}_step.sql"),
            &format!("CREATE TABLE t{number} (id BIGINT);\n"),
        );
        let up = ["up", "--backup", "always", "--backup-dir", "aside"];
        site.passed(&[&up, arguments].concat()).1
    };
    site.up();
    fs::create_dir_all(&aside).unwrap();
    fs::write(aside.join("mine.backup.db"), "not chatctl's").unwrap();
    fs::write(aside.join("mine.backup.db.sha256"), "").unwrap();
    for number in 2..=4 {
        step(number, &["--keep-backups", "0"]);
    }
    assert_eq!(backups(&aside).len(), 1 + 3);
    let before = backups(&aside);
    let told = step(5, &["--keep-backups", "2"]);
    let left = backups(&aside);
    assert_eq!(left.len(), 1 + 2, "{left:?}");
    assert!(left.contains(&told_backup(&told)) && left.contains(&aside.join("mine.backup.db")));
    for gone in before.iter().filter(|path| !left.contains(path)) {
        assert!(
            told.contains(&format!("removed the older backup {}", gone.display())),
            "{told}"
        );
    }
    let (history, _) = report(&mut site.bare(&["history"]));
    assert_eq!(
        history.to_string().matches("(no longer there)").count(),
        2,
        "{history:#}"
    );
    // Five, when nothing else is said; the settings say it, too.
    for number in 6..=10 {
        step(number, &[]);
    }
    assert_eq!(backups(&aside).len(), 1 + 5);
    fs::write(
        site.folder.join("chatctl.toml"),
        "keep-backups = 1\nbackup-dir = \"shelf\"\n",
    )
    .unwrap();
    site.file("11_step.sql", "CREATE TABLE t11 (id BIGINT);\n");
    let (_, told) = site.passed(&["up", "--backup", "always"]);
    assert_eq!(backups(&site.folder.join("shelf")), [told_backup(&told)]);
    // Those in the former folder may be another database's, of which this one is a copy.
    assert_eq!(backups(&aside).len(), 1 + 5);
}

/// Each try would make a backup of the same, and push out one that is older and another.
fn what_is_refused_leaves_no_backup(bed: &TestBed) {
    let more = format!("{LOSS}DELETE FROM messages WHERE id = 3;\n");
    let site = bed.at("talk", &[BEGIN, &more]);
    let before = site.contents();
    for _ in 0..2 {
        let (report, exit) = site.report(&["up", "--backup-dir", "aside"]);
        assert_eq!(exit, 1, "{report:#}");
    }
    assert_eq!(site.contents(), before);
    assert_eq!(backups(&site.folder.join("aside")), [] as [PathBuf; 0]);
    site.left_nothing();
}

/// What a row was and when is no row that a plain dump has.
fn former_versions_of_rows_come_back(bed: &TestBed) {
    let begin = "CREATE TABLE kept (id INT PRIMARY KEY, body VARCHAR(20)) WITH SYSTEM VERSIONING;
        INSERT INTO kept VALUES (1, 'a'); UPDATE kept SET body = 'b'; UPDATE kept SET body = 'c';
        CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO other VALUES (1);\n";
    let loss = "-- chatctl: allow-loss other reason=\"old\"\nDELETE FROM other;\n";
    let site = bed.at("versions", &[begin, loss]);
    let versions = || {
        site.texts(
            "SELECT concat(body, ' ', row_start) FROM kept FOR SYSTEM_TIME ALL ORDER BY row_start",
        )
    };
    let before = versions();
    assert_eq!(before.len(), 3);
    let (_, told) = site.passed(&["up", "--backup-dir", "aside"]);
    site.texts("DELETE HISTORY FROM kept");
    assert_eq!(versions().len(), 1);
    let backup = told_backup(&told).display().to_string();
    crate::common::sites::passed(
        site.bare(&["restore", &backup, "--backup-dir", "now"])
            .output()
            .unwrap(),
    );
    assert_eq!(versions(), before);
}

/// Those of other jobs: they would leave out letters, a table, and the end by which a dump is known.
fn option_files_change_no_backup(bed: &TestBed) {
    let begin =
        "CREATE TABLE messages (id INT PRIMARY KEY, body VARCHAR(20)) CHARACTER SET utf8mb4;
        INSERT INTO messages VALUES (1, '\u{1f642}');\n";
    let site = bed.at("options", &[begin, LOSS]);
    let database = site.url.rsplit('/').next().unwrap();
    let options = format!(
        "[client]\ndefault-character-set = utf8mb3\n[mysqldump]\nskip-comments\nignore-table = {database}.messages\n"
    );
    fs::write(site.folder.join(".my.cnf"), options).unwrap();
    let up = site
        .command(&["up", "--backup-dir", "aside"])
        .env("HOME", &site.folder)
        .output();
    let (_, told) = crate::common::sites::passed(up.unwrap());
    assert_eq!(site.texts(BODIES), [] as [&str; 0]);
    let backup = told_backup(&told).display().to_string();
    let mut restore = site.bare(&["restore", &backup, "--backup-dir", "now"]);
    crate::common::sites::passed(restore.env("HOME", &site.folder).output().unwrap());
    assert_eq!(site.texts(BODIES), ["1\u{1f642}"]);
}

/// Makes the loss, and brings the rows of all messages back.
fn comes_back(site: &Site) {
    let before = site.texts(BODIES);
    let (_, told) = site.passed(&["up", "--backup-dir", "aside"]);
    assert_ne!(site.texts(BODIES), before);
    let backup = told_backup(&told).display().to_string();
    let mut restore = site.bare(&["restore", &backup, "--backup-dir", "now"]);
    crate::common::sites::passed(restore.output().unwrap());
    assert_eq!(site.texts(BODIES), before);
    site.left_nothing();
}

const BODIES: &str = "SELECT concat(id, coalesce(body, '-')) FROM messages ORDER BY id";

/// A sequence that a default reads, a row that broke a condition when none was checked, and a view
/// whose definer is not on this server.
fn what_the_server_keeps_comes_back(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    for statement in [
        "CREATE SEQUENCE numbers",
        "CREATE TABLE numbered (id BIGINT DEFAULT nextval(numbers) PRIMARY KEY, body TEXT)",
        "INSERT INTO numbered (body) VALUES ('a')",
        "CREATE TABLE rated (rate INT, CONSTRAINT k CHECK (rate > 5))",
        "SET STATEMENT check_constraint_checks = 0 FOR INSERT INTO rated VALUES (1)",
        "CREATE DEFINER = 'nobody'@'nowhere' VIEW bodies AS SELECT id, body FROM messages",
    ] {
        site.texts(statement);
    }
    comes_back(&site);
    assert_eq!(site.texts("SELECT concat(id, body) FROM numbered"), ["1a"]);
    assert_eq!(site.texts("SELECT concat(rate) FROM rated"), ["1"]);
}

/// A dump hides every name but the catalogue's from the functions that it calls.
fn what_functions_find_by_the_path_comes_back(bed: &TestBed) {
    let begin = format!(
        "{BEGIN}CREATE FUNCTION inner_f(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN lower(t); END $$;
         CREATE FUNCTION outer_f(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN inner_f(t); END $$;
         CREATE INDEX messages_lower ON messages (outer_f(body));
         CREATE MATERIALIZED VIEW lowered AS SELECT outer_f(body) AS body FROM messages;\n"
    );
    comes_back(&bed.at("talk", &[&begin, LOSS]));
}

/// The server keeps a view whose table is gone, and no dump of it can be made.
fn a_view_of_nothing_is_named(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, LOSS]);
    for statement in [
        "CREATE TABLE gone (id INT)",
        "CREATE VIEW orphaned AS SELECT id FROM gone",
        "DROP TABLE gone",
    ] {
        site.texts(statement);
    }
    let before = site.texts(BODIES);
    let told = site.refused(&["up", "--backup-dir", "aside"]);
    assert!(told.contains("the view `orphaned`"), "{told}");
    assert_eq!(site.texts(BODIES), before);
    site.texts("DROP VIEW orphaned");
    site.passed(&["up", "--backup-dir", "aside"]);
}
