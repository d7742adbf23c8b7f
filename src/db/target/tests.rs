use super::Target;

#[test]
fn the_forms_of_a_file_url() {
    for (url, path) in [
        ("sqlite:chat.db", "chat.db"),
        ("sqlite://chat.db", "chat.db"),
        ("sqlite:///tmp/chat.db", "/tmp/chat.db"),
        ("sqlite:/tmp/a b.db?mode=ro", "/tmp/a b.db"),
    ] {
        assert_eq!(Target::parse(url).unwrap().path().to_str().unwrap(), path);
    }
    assert!(Target::parse("sqlite:x?mode=ro").unwrap().read_only());
    assert!(!Target::parse("sqlite:x?mode=rwc").unwrap().read_only());
    // Drivers read these in the same variable.
    assert!(Target::parse("sqlite:x?immutable=1").unwrap().read_only());
    assert!(
        !Target::parse("sqlite:x?cache=shared&mode=rwc")
            .unwrap()
            .read_only()
    );
    let stop = Target::parse("sqlite:x?mode=memory").unwrap_err();
    assert!(stop.message.contains("in-memory"), "{stop:?}");
    for url in [
        "sqlite:x?mod=ro",
        "sqlite:x?immutable",
        "sqlite:/a/b?c.db",
        "sqlite:x?mode=ro&foreign_keys=off",
    ] {
        let stop = Target::parse(url).unwrap_err();
        assert!(stop.message.contains("unknown parameter"), "{url}");
    }
}

#[test]
fn the_parts_of_a_servers_url() {
    for (url, backend, address, database) in [
        ("postgres://bob:pw@db/chat", "postgres", "db:5432", "chat"),
        (
            "postgresql://bob@[::1]:6000/a%20b?sslmode=require",
            "postgres",
            "[::1]:6000",
            "a b",
        ),
        (
            "mysql://root@127.0.0.1:3307/chat",
            "mysql",
            "127.0.0.1:3307",
            "chat",
        ),
        ("mariadb://root@db/chat", "mysql", "db:3306", "chat"),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!(target.engine().name(), backend);
        assert_eq!(target.address(), address);
        assert_eq!(target.database(), database);
        assert_eq!(target.secret_url(), url);
        assert!(!target.is_file() && !target.read_only());
    }
}

#[test]
fn a_servers_url_names_host_user_and_database() {
    for (url, what) in [
        ("postgres://bob@db", "database"),
        ("postgres://bob@db/", "database"),
        ("mysql://db/chat", "user"),
        ("mysql:///chat", "host"),
    ] {
        let stop = Target::parse(url).unwrap_err();
        assert!(stop.message.ends_with(&format!("names no {what}")), "{url}");
        assert!(stop.hint.is_some());
    }
}

#[test]
fn by_way_of_a_proxy_only_the_way_differs() {
    let through = |url: &str| {
        let target = Target::parse(url).unwrap();
        let target = target.through("127.0.0.1:4000".parse().unwrap());
        target.secret_url().to_owned()
    };
    for (url, wanted) in [
        (
            "postgres://app:p%40ss@db.example/chat?sslmode=verify-full&sslrootcert=/ca.pem&application_name=a",
            "postgres://app:p%40ss@127.0.0.1:4000/chat?application_name=a",
        ),
        (
            "postgres://app@localhost/chat?host=/run/postgresql&search_path=chat",
            "postgres://app@127.0.0.1:4000/chat",
        ),
        (
            "mysql://root@[::1]:3307/chat?ssl-mode=VERIFY_CA&ssl-ca=ca.pem",
            "mysql://root@127.0.0.1:4000/chat",
        ),
        ("mysql://root@db/chat", "mysql://root@127.0.0.1:4000/chat"),
    ] {
        assert_eq!(through(url), wanted);
    }
}

#[test]
fn a_socket_is_named_as_its_clients_name_it() {
    for (url, socket, wanted) in [
        (
            "postgres://bob@db:5433/chat?sslmode=require&connect_timeout=3",
            "/run/gate/.s.PGSQL.5432",
            "postgres://bob@localhost:5432/chat?connect_timeout=3&host=%2Frun%2Fgate",
        ),
        (
            "mysql://bob:x@db:1/chat",
            "/run/gate.sock",
            "mysql://bob:x@localhost/chat?socket=%2Frun%2Fgate.sock",
        ),
    ] {
        let target = Target::parse(url).unwrap();
        let by_way = target.through_socket(std::path::Path::new(socket));
        assert_eq!(by_way.secret_url(), wanted);
        assert!(by_way.is_local());
    }
}

#[test]
fn the_schemas_are_for_chatctl_alone() {
    for (url, for_drivers, path) in [
        (
            "postgres://bob@db/chat?search_path=a,b",
            "postgres://bob@db/chat",
            Some("a,b"),
        ),
        (
            "postgres://bob@db/chat?sslmode=require&search_path=My%20Chats&connect_timeout=3",
            "postgres://bob@db/chat?sslmode=require&connect_timeout=3",
            Some("My Chats"),
        ),
        (
            "postgres://bob@db/chat?search_path=",
            "postgres://bob@db/chat",
            None,
        ),
        ("postgres://bob@db/chat", "postgres://bob@db/chat", None),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!(target.secret_url(), for_drivers);
        assert_eq!(target.search_path().as_deref(), path);
        assert_eq!(target.to_string(), url);
        assert_eq!(target.sibling("other").search_path().as_deref(), path);
    }
}

#[test]
fn a_password_is_never_shown() {
    for url in [
        "postgres://bob:hunter2@db/chat",
        "postgres://bob@db/chat?password=hunter2",
    ] {
        let shown = Target::parse(url).unwrap().to_string();
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    for url in [
        "postgres://bob:hunter2@db",
        "postgres://bob:hunter2@db:port/chat",
        "postgresql+asyncpg://bob:hunter2@db/chat",
        "mysql+pymysql://bob:hunter2@db:port/chat",
    ] {
        let stop = Target::parse(url).unwrap_err();
        assert!(!format!("{stop:?}").contains("hunter2"), "{stop:?}");
    }
}

#[test]
fn a_url_with_a_driver_is_told_without_it() {
    for (url, plain) in [
        (
            "postgresql+asyncpg://bob@db/chat",
            "postgresql://bob@db/chat",
        ),
        ("mysql+pymysql://bob:pw@db/chat", "mysql://bob:***@db/chat"),
        ("sqlite+aiosqlite:///chat.db", "sqlite:chat.db"),
        ("sqlite+aiosqlite:////tmp/chat.db", "sqlite:/tmp/chat.db"),
    ] {
        let hint = Target::parse(url).unwrap_err().hint.unwrap();
        assert!(hint.ends_with(plain), "{hint}");
    }
}

#[test]
fn a_store_of_another_kind_is_told_from_a_typing_error() {
    for (url, hint) in [
        ("mongodb://db/chat", "chatctl reads only"),
        ("mongodb+srv://bob:hunter2@db/chat", "chatctl reads only"),
        ("redis://db:6379/0", "chatctl reads only"),
        ("jdbc:postgresql://db/chat", "leave `jdbc:` out"),
        ("cockroachdb://db/chat", "postgres://"),
        ("file:chat.db", "sqlite:PATH"),
    ] {
        let stop = Target::parse(url).unwrap_err();
        assert!(stop.hint.as_deref().unwrap().contains(hint), "{stop:?}");
        assert!(!format!("{stop:?}").contains("hunter2"));
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for url in ["sqlite::memory:", "sqlite:", "oracle://x", "chat.db"] {
        assert!(Target::parse(url).is_err(), "{url}");
    }
}
