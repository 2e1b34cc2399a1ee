//! What keys open, until when, and what stays of them in the file.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{path::PathBuf, time::Duration};

use meterbox_access::{
    Access, AccessError, AccessErrorKind, Actor, AuditPage, CreatedKey, Denied, KeyGrant, KeyState, Role,
};
use meterbox_core::{Scope, Timestamp};
use meterbox_testkit::ManualClock;

const HOUR: Duration = Duration::from_secs(3_600);

struct Door {
    access: Access,
    clock: ManualClock,
    file: PathBuf,
}

impl Door {
    fn new() -> Self {
        let file = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap()
            .keep()
            .join("access.sqlite3");
        let clock = ManualClock::at("2026-11-23T12:34:56Z".parse().unwrap());
        Self {
            access: Access::open(&file, clock.clone()).unwrap(),
            clock,
            file,
        }
    }

    async fn key(&self, role: Role, user: &str) -> CreatedKey {
        let grant = KeyGrant::new("a test", role, [user.parse().unwrap()]);
        self.access.create_key(&operator(), grant).await.unwrap()
    }
}

fn operator() -> Actor {
    Actor::new("uid 1000", "command line")
}

fn scopes(texts: &[&str]) -> Vec<Scope> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn denied(result: Result<impl std::fmt::Debug, AccessError>) -> Denied {
    match result.unwrap_err() {
        AccessError::Denied(denied) => denied,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_opens_what_it_grants_and_nothing_else_does() {
    let door = Door::new();
    assert!(!door.access.needs_key().await.unwrap());
    let grant = KeyGrant::new(
        " laptop ",
        Role::Analyst,
        scopes(&["org/acme", "user/ana", "org/acme"]),
    );
    let made = door.access.create_key(&operator(), grant).await.unwrap();
    assert!(door.access.needs_key().await.unwrap());

    let known = door.access.authenticate(&made.key.reveal()).await.unwrap();
    assert_eq!(known.user().to_string(), "user/ana");
    assert_eq!(known.groups(), scopes(&["org/acme"]));
    assert_eq!((known.name.as_str(), known.role), ("laptop", Role::Analyst));

    // The id of one key with the secret of another, made to look right.
    let other = door.key(Role::Admin, "user/bob").await;
    assert_eq!(
        denied(door.access.authenticate("").await),
        Denied::Malformed(meterbox_access::MalformedKey)
    );
    let stranger = Door::new().key(Role::Admin, "user/bob").await;
    assert_eq!(
        denied(door.access.authenticate(&stranger.key.reveal()).await),
        Denied::Unknown
    );
    assert!(door.access.authenticate(&other.key.reveal()).await.is_ok());
}

#[tokio::test]
async fn the_file_never_has_a_secret() {
    let door = Door::new();
    let made = door.key(Role::Admin, "user/ana").await;
    let session = door.access.open_session(&made.record).await.unwrap();
    let text = made.key.reveal();
    let (secret, token) = (&text["mbx_000000000000_".len()..][..43], session.token.reveal());
    let mut bytes = Vec::new();
    for file in ["access.sqlite3", "access.sqlite3-wal"] {
        bytes.extend(std::fs::read(door.file.with_file_name(file)).unwrap_or_default());
    }
    let has = |needle: &str| {
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    assert!(has(&made.record.id.to_string()), "the file was read");
    assert!(!has(secret) && !has(token));
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_a_revoked_one_at_once_in_every_process() {
    let door = Door::new();
    let end: Timestamp = "2026-11-23T13:34:56Z".parse().unwrap();
    let grant = KeyGrant::new("short", Role::Viewer, scopes(&["user/ana"])).expiring_at(end);
    let short = door.access.create_key(&operator(), grant).await.unwrap();
    let long = door.key(Role::Viewer, "user/ana").await;
    let elsewhere = Access::open(&door.file, door.clock.clone()).unwrap();
    assert!(elsewhere.authenticate(&long.key.reveal()).await.is_ok());

    door.clock.advance(HOUR - Duration::from_micros(1));
    assert!(door.access.authenticate(&short.key.reveal()).await.is_ok());
    door.clock.advance(Duration::from_micros(1));
    assert_eq!(
        denied(door.access.authenticate(&short.key.reveal()).await),
        Denied::Expired(end)
    );

    let session = elsewhere.open_session(&long.record).await.unwrap();
    door.access
        .revoke_key(&operator(), &long.record.id, false)
        .await
        .unwrap();
    assert!(matches!(
        denied(elsewhere.authenticate(&long.key.reveal()).await),
        Denied::Revoked(_)
    ));
    assert_eq!(
        denied(elsewhere.session(&session.token).await),
        Denied::SessionOver
    );
    assert!(
        door.access.needs_key().await.unwrap(),
        "revoking never opens the door"
    );

    let again = door
        .access
        .revoke_key(&operator(), &long.record.id, false)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), AccessErrorKind::Conflict);
    let strange = "000000000000".parse().unwrap();
    let unknown = door
        .access
        .revoke_key(&operator(), &strange, false)
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), AccessErrorKind::UnknownKey);
}

#[tokio::test]
async fn however_many_use_a_key_while_it_is_revoked_none_gets_in_after() {
    let door = Door::new();
    let made = door.key(Role::Analyst, "user/ana").await;
    let text = made.key.reveal();
    let users: Vec<_> = (0..8)
        .map(|_| {
            let (access, text) = (door.access.clone(), text.clone());
            tokio::spawn(async move {
                let mut entered = 0_u32;
                while access.authenticate(&text).await.is_ok() {
                    entered += 1;
                }
                entered
            })
        })
        .collect();
    tokio::task::yield_now().await;
    door.access
        .revoke_key(&operator(), &made.record.id, false)
        .await
        .unwrap();
    assert!(door.access.authenticate(&text).await.is_err());
    for user in users {
        user.await.unwrap();
    }
}

#[tokio::test]
async fn the_last_admin_key_is_kept_where_asked_for() {
    let door = Door::new();
    let first = door.key(Role::Admin, "user/ana").await.record.id;
    let second = door.key(Role::Admin, "user/bob").await.record.id;
    door.key(Role::Analyst, "user/cy").await;
    door.access.revoke_key(&operator(), &first, true).await.unwrap();
    let refused = door
        .access
        .revoke_key(&operator(), &second, true)
        .await
        .unwrap_err();
    assert!(matches!(refused, AccessError::LastAdmin(_)), "{refused}");
    assert!(door.access.has_admin().await.unwrap());
    door.access.revoke_key(&operator(), &second, false).await.unwrap();
    assert!(!door.access.has_admin().await.unwrap());
}

#[tokio::test]
async fn two_who_revoke_the_last_two_admins_leave_one() {
    let door = Door::new();
    let ids = [
        door.key(Role::Admin, "user/ana").await.record.id,
        door.key(Role::Admin, "user/bob").await.record.id,
    ];
    let revoke = |id: usize| {
        let (access, id) = (
            Access::open(&door.file, door.clock.clone()).unwrap(),
            ids[id].clone(),
        );
        tokio::spawn(async move { access.revoke_key(&operator(), &id, true).await.is_ok() })
    };
    let (one, two) = (revoke(0), revoke(1));
    assert!(one.await.unwrap() ^ two.await.unwrap());
    assert!(door.access.has_admin().await.unwrap());
}

#[tokio::test]
async fn a_rotated_key_has_the_same_rights_and_the_old_one_ends() {
    let door = Door::new();
    let end: Timestamp = "2026-12-03T12:34:56Z".parse().unwrap();
    let grant = KeyGrant::new("ci", Role::Analyst, scopes(&["user/ci", "team/ops"])).expiring_at(end);
    let old = door.access.create_key(&operator(), grant).await.unwrap();
    door.clock.advance(24 * HOUR);

    let new = door
        .access
        .rotate_key(&operator(), &old.record.id, Duration::ZERO)
        .await
        .unwrap();
    let known = door.access.authenticate(&new.key.reveal()).await.unwrap();
    assert_eq!(
        (&known.name, known.role, &known.scopes),
        (&old.record.name, Role::Analyst, &old.record.scopes)
    );
    assert_eq!(
        known.expires_at,
        Some("2026-12-04T12:34:56Z".parse().unwrap()),
        "ten days again"
    );
    assert!(matches!(
        denied(door.access.authenticate(&old.key.reveal()).await),
        Denied::Revoked(_)
    ));

    let newest = door
        .access
        .rotate_key(&operator(), &new.record.id, HOUR)
        .await
        .unwrap();
    assert!(
        door.access.authenticate(&new.key.reveal()).await.is_ok(),
        "for an hour"
    );
    door.clock.advance(HOUR);
    assert!(matches!(
        denied(door.access.authenticate(&new.key.reveal()).await),
        Denied::Expired(_)
    ));
    assert!(door.access.authenticate(&newest.key.reveal()).await.is_ok());

    let keys = door.access.keys().await.unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0].replaced_by.as_ref(), Some(&new.record.id));
    assert_eq!(keys[0].state(Timestamp::MAX), KeyState::Revoked);
    let rotated_again = door
        .access
        .rotate_key(&operator(), &old.record.id, HOUR)
        .await
        .unwrap_err();
    assert_eq!(rotated_again.kind(), AccessErrorKind::Conflict);
}

#[tokio::test]
async fn the_last_use_is_noted_to_the_hour() {
    let door = Door::new();
    let made = door.key(Role::Viewer, "user/ana").await;
    let used = async || door.access.keys().await.unwrap()[0].last_used_at;
    assert_eq!(used().await, None);
    for (minutes, noted) in [(0, "12:00"), (20, "12:00"), (10, "13:00"), (600, "23:00")] {
        door.clock.advance(Duration::from_secs(60 * minutes));
        door.access.authenticate(&made.key.reveal()).await.unwrap();
        assert_eq!(
            used().await,
            Some(format!("2026-11-23T{noted}:00Z").parse().unwrap())
        );
    }
    door.clock.set_wall("2026-11-23T08:00:00Z".parse().unwrap());
    door.access.authenticate(&made.key.reveal()).await.unwrap();
    assert_eq!(
        used().await,
        Some("2026-11-23T08:00:00Z".parse().unwrap()),
        "a clock that steps back"
    );
}

#[tokio::test]
async fn a_grant_that_makes_no_sense_is_refused_and_leaves_nothing() {
    let door = Door::new();
    let grant = |name: &str, texts: &[&str]| KeyGrant::new(name, Role::Viewer, scopes(texts));
    let past = grant("a", &["user/ana"]).expiring_at("2026-11-23T12:34:56Z".parse().unwrap());
    let many: Vec<Scope> = (0..8)
        .map(|team| Scope::new("team", &team.to_string()).unwrap())
        .chain(scopes(&["user/ana"]))
        .collect();
    for wrong in [
        grant("", &["user/ana"]),
        grant("  ", &["user/ana"]),
        grant("a\nb", &["user/ana"]),
        grant(&"x".repeat(101), &["user/ana"]),
        grant("a", &[]),
        grant("a", &["org/acme"]),
        grant("a", &["user/*"]),
        grant("a", &["user/ana", "org/*"]),
        grant("a", &["user/ana", "user/bob"]),
        KeyGrant::new("a", Role::Viewer, many),
        past,
    ] {
        let said = door
            .access
            .create_key(&operator(), wrong.clone())
            .await
            .unwrap_err();
        assert_eq!(said.kind(), AccessErrorKind::Invalid, "{wrong:?}");
    }
    assert!(door.access.keys().await.unwrap().is_empty());
    assert!(door.access.audit(AuditPage::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_lives_half_a_day_and_never_longer_than_its_key() {
    let door = Door::new();
    let made = door.key(Role::Admin, "user/ana").await;
    let session = door.access.open_session(&made.record).await.unwrap();
    assert_eq!(
        door.access.session(&session.token).await.unwrap().id,
        made.record.id
    );
    let guessed = "0".repeat(43).parse().unwrap();
    assert_eq!(denied(door.access.session(&guessed).await), Denied::SessionOver);

    let closed = door.access.open_session(&made.record).await.unwrap();
    door.access.close_session(&closed.token).await.unwrap();
    assert_eq!(
        denied(door.access.session(&closed.token).await),
        Denied::SessionOver
    );

    door.clock.advance(12 * HOUR - Duration::from_secs(1));
    assert!(door.access.session(&session.token).await.is_ok());
    door.clock.advance(Duration::from_secs(1));
    assert_eq!(
        denied(door.access.session(&session.token).await),
        Denied::SessionOver
    );

    let end = session.expires_at.saturating_add(HOUR);
    let grant = KeyGrant::new("short", Role::Viewer, scopes(&["user/ana"])).expiring_at(end);
    let short = door.access.create_key(&operator(), grant).await.unwrap();
    assert_eq!(
        door.access.open_session(&short.record).await.unwrap().expires_at,
        end
    );
    assert!("x".parse::<meterbox_access::SessionToken>().is_err());
}
