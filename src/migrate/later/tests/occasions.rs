//! Tables of one name in several schemas, and deeds that happen on more occasions than before.

use super::{deeds, tables, trigger, unchanged};
use crate::model::{Action, Actions, On, Shape};
use crate::sql::Dialect;

/// `messages` and `chats` where bare names lead, and an archive that sorts before them.
fn with_an_archive() -> Vec<Shape> {
    let bare = tables().into_iter().map(|it| Shape {
        schema: "public".to_owned(),
        bare: true,
        ..it
    });
    let archive = Shape {
        name: "archive.messages".to_owned(),
        schema: "archive".to_owned(),
        ..tables().remove(0)
    };
    [archive].into_iter().chain(bare).collect()
}

fn all(action: Action, tables: &[Shape]) -> Vec<super::Deed> {
    deeds(&Actions::new(vec![action], []), tables, Dialect::Postgres)
}

fn on_chats(on: &[On], body: &str) -> Action {
    Action {
        table: Some("chats".to_owned()),
        ..trigger(on, body)
    }
}

#[test]
fn a_bare_name_means_the_table_that_it_leads_to() {
    let delete = |name: &str| format!("BEGIN DELETE FROM {name} WHERE at < now(); RETURN NEW; END");
    for (body, tables) in [
        (delete("messages"), vec!["messages"]),
        (delete("public.messages"), vec!["messages"]),
        (delete("archive.messages"), vec!["archive.messages"]),
        (delete("other.messages"), vec![]),
        (
            "BEGIN UPDATE messages SET body = ''; RETURN NEW; END".to_owned(),
            vec!["messages"],
        ),
    ] {
        let found = all(on_chats(&[On::Insert], &body), &with_an_archive());
        let found: Vec<_> = found.iter().map(|it| it.table.as_str()).collect();
        assert_eq!(found, tables, "{body}");
    }
}

#[test]
fn an_action_hangs_on_the_table_of_its_schema() {
    for own in ["messages", "archive.messages"] {
        let action = Action {
            table: Some(own.to_owned()),
            ..trigger(&[On::Insert], "BEGIN NEW.body := ''; RETURN NEW; END")
        };
        let found = all(action, &with_an_archive());
        let found: Vec<_> = found.iter().map(|it| it.table.as_str()).collect();
        assert_eq!(found, [own]);
    }
}

/// What goes to a table of the same name in another schema does not come again.
#[test]
fn a_row_that_is_put_into_another_schema_does_not_come_again() {
    let body = |into: &str| {
        format!(
            "BEGIN DELETE FROM messages WHERE chat_id = NEW.chat_id AND id <> NEW.id; INSERT INTO {into} SELECT NEW.*; RETURN NEW; END"
        )
    };
    let found = |into: &str| all(on_chats(&[On::Insert], &body(into)), &with_an_archive()).len();
    assert_eq!((found("archive.messages"), found("messages")), (1, 0));
}

#[test]
fn what_happened_on_rare_occasions_is_not_the_same_on_each() {
    let plain = "BEGIN DELETE FROM messages; RETURN NEW; END";
    let asking = "BEGIN IF NEW.body = '/clear' THEN DELETE FROM messages; END IF; RETURN NEW; END";
    let made = |table: &str, on: &[On], conditional: bool, body: &str| {
        let action = Action {
            table: Some(table.to_owned()),
            condition: conditional.then(String::new),
            ..trigger(on, body)
        };
        all(action, &with_an_archive())
    };
    let rare = made("search", &[On::Insert], true, plain);
    let same = |now: &[super::Deed], were: &[super::Deed]| {
        assert!(!now.is_empty());
        now.iter().all(|it| it.is_among(were, unchanged))
    };
    let both = [On::Insert, On::Delete];
    let now = |table: &str, on: &[On], conditional| made(table, on, conditional, plain);
    assert!(same(&now("search", &[On::Insert], true), &rare));
    assert!(same(&made("search", &[On::Insert], false, asking), &rare));
    assert!(same(&rare, &now("search", &both, false)));
    // On each message, at other writes, or without its condition.
    assert!(!same(&now("chats", &[On::Insert], true), &rare));
    assert!(!same(&now("search", &both, true), &rare));
    assert!(!same(&now("search", &[On::Insert], false), &rare));
    let were = made("search", &[On::Insert], false, asking);
    assert!(!same(&now("search", &[On::Insert], false), &were));
    // On a new partition it is the same.
    let part = Shape {
        name: "search_2".to_owned(),
        table: "search_2".to_owned(),
        whole: Some("search".to_owned()),
        ..Shape::default()
    };
    let of_part = Action {
        table: Some("search_2".to_owned()),
        condition: Some(String::new()),
        ..trigger(&[On::Insert], plain)
    };
    let tables = [with_an_archive(), vec![part]].concat();
    assert!(same(&all(of_part, &tables), &rare));
    // Its table has another name now.
    let renamed = now("chats", &[On::Insert], true);
    let name = |_: &str, column: Option<&str>| unchanged("chats", column);
    assert!(renamed.iter().all(|it| it.is_among(&rare, name)));
}
