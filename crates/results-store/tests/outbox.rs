//! The outbox in front of stores that are away, slow, forgetful and fine; in processes that are killed.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{
    collections::VecDeque,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Scope, StorageError, StorageErrorKind, Timestamp,
    contract::{AnalysisResult, Status},
};
use meterbox_results_store::{
    MemoryResults, Outbox, OutboxLimits, Page, PageRequest, ResultsError, ResultsErrorKind, ResultsStore,
    SqliteResults, results_conformance,
};
use meterbox_testkit::ManualClock;
use tokio::time::{advance, sleep};

const HOUR: Duration = Duration::from_secs(3_600);

fn start() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// Kept after the test, inside the target folder.
fn new_folder() -> PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep()
}

fn outbox_at(folder: &Path, store: impl ResultsStore) -> Outbox {
    let clock = ManualClock::at(start());
    Outbox::open(
        folder.join("outbox.sqlite3"),
        store,
        clock,
        OutboxLimits::default(),
    )
    .unwrap()
}

fn new_outbox() -> Outbox {
    outbox_at(&new_folder(), MemoryResults::new())
}

results_conformance!(outbox, || async { new_outbox() });
results_conformance!(outbox_in_a_box, || async { Box::new(new_outbox()) });
results_conformance!(outbox_in_an_arc, || async { Arc::new(new_outbox()) });
// Where nothing ever arrives, what waits is all there is; of what was never there nothing can be deleted.
results_conformance!(outbox_of_a_store_that_takes_nothing, || async {
    let store = Scripted::default();
    store.0.lock().unwrap().refuses_all = true;
    outbox_at(&new_folder(), store)
});
results_conformance!(outbox_in_an_outbox, || async {
    outbox_at(&new_folder(), new_outbox())
});

fn result(of: &str, second: u64) -> AnalysisResult {
    let at = start().saturating_add(Duration::from_secs(second));
    AnalysisResult::begun(AnalysisId::new(at), format!("user/{of}").parse().unwrap(), at)
}

/// A store that does as it is told, and remembers what it was sent and what it took.
#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    kept: MemoryResults,
    /// In the order they came.
    taken: Vec<AnalysisId>,
    attempts: usize,
    refuses_all: bool,
    refuses_those_of: Option<Scope>,
    /// What the next attempts meet.
    next: VecDeque<Manner>,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    Away,
    Wishes(Duration),
    /// It takes the result, and its answer is lost.
    LostAnswer,
    /// It answers after so long.
    Slow(Duration),
    Hangs,
    Rejects,
    /// It does so after so long.
    RejectsAfter(Duration),
}

impl Scripted {
    fn meets(&self, manners: impl IntoIterator<Item = Manner>) {
        self.0.lock().unwrap().next.extend(manners);
    }

    fn taken(&self) -> Vec<AnalysisId> {
        self.0.lock().unwrap().taken.clone()
    }

    fn attempts(&self) -> usize {
        self.0.lock().unwrap().attempts
    }

    fn be_away(&self, away: bool) {
        self.0.lock().unwrap().refuses_all = away;
    }

    async fn take(&self, result: &AnalysisResult) {
        let kept = {
            let mut script = self.0.lock().unwrap();
            script.taken.push(result.id);
            std::mem::take(&mut script.kept)
        };
        kept.save(result).await.unwrap();
        self.0.lock().unwrap().kept = kept;
    }

    async fn with_kept<T>(&self, ask: impl AsyncFnOnce(&MemoryResults) -> T) -> T {
        let kept = std::mem::take(&mut self.0.lock().unwrap().kept);
        let answer = ask(&kept).await;
        self.0.lock().unwrap().kept = kept;
        answer
    }
}

fn away() -> ResultsError {
    StorageError::new(StorageErrorKind::Unavailable, "the store is away").into()
}

fn rejected(result: &AnalysisResult) -> ResultsError {
    ResultsError::Rejected {
        id: result.id,
        reason: "too large".to_owned(),
    }
}

#[async_trait]
impl ResultsStore for Scripted {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        let manner = {
            let mut script = self.0.lock().unwrap();
            script.attempts += 1;
            if script.refuses_all || script.refuses_those_of.as_ref() == Some(&result.principal) {
                return Err(away());
            }
            script.next.pop_front()
        };
        match manner {
            None => {}
            Some(Manner::Away) => return Err(away()),
            Some(Manner::Wishes(wish)) => {
                let busy = StorageError::new(StorageErrorKind::Busy, "not now").with_retry_after(wish);
                return Err(busy.into());
            }
            Some(Manner::LostAnswer) => {
                self.take(result).await;
                return Err(away());
            }
            Some(Manner::Slow(time)) => sleep(time).await,
            Some(Manner::Hangs) => std::future::pending().await,
            Some(Manner::Rejects) => return Err(rejected(result)),
            Some(Manner::RejectsAfter(time)) => {
                sleep(time).await;
                return Err(rejected(result));
            }
        }
        self.take(result).await;
        Ok(())
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        self.with_kept(async |kept| kept.find(principal, id).await).await
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        self.with_kept(async |kept| kept.page(principal, request).await)
            .await
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        self.with_kept(async |kept| kept.delete(principal, id).await)
            .await
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        self.with_kept(async |kept| kept.expire(before, most).await).await
    }

    async fn check(&self) -> Result<(), ResultsError> {
        Ok(())
    }
}

/// Virtual time that moves only when a test says so: by itself it would run ahead while the disk is at work.
struct Time {
    _held: std::sync::mpsc::Sender<()>,
}

impl Time {
    fn hold() -> Self {
        let (held, until_dropped) = std::sync::mpsc::channel();
        // A blocking task keeps a paused runtime from running ahead.
        tokio::task::spawn_blocking(move || until_dropped.recv());
        Self { _held: held }
    }

    /// Lets it pass, a second at a time, with a moment of real time for the disk after each.
    async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            advance(Duration::from_secs(1)).await;
            let moment = || std::thread::sleep(Duration::from_millis(2));
            tokio::task::spawn_blocking(moment).await.unwrap();
        }
    }

    /// How long it takes until nothing waits any more.
    async fn until_delivered(&self, outbox: &Outbox) -> Duration {
        for second in 0..4 * HOUR.as_secs() {
            if outbox.health().await.unwrap().waiting == 0 {
                return Duration::from_secs(second);
            }
            self.pass(Duration::from_secs(1)).await;
        }
        panic!("{:?}", outbox.health().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_away_for_an_hour_gets_each_result_once_and_in_order() {
    let time = Time::hold();
    let store = Scripted::default();
    store.be_away(true);
    let outbox = outbox_at(&new_folder(), store.clone());
    let mut expected = Vec::new();
    for minute in 0..60 {
        let result = result("ana", minute * 60);
        // Nobody waits for the store: no time passes.
        outbox.save(&result).await.unwrap();
        let found = outbox.find(&result.principal, result.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&result), "reading sees what waits");
        expected.push(result.id);
        time.pass(Duration::from_secs(60)).await;
    }
    let page = outbox
        .page(&"user/ana".parse().unwrap(), PageRequest::newest(500))
        .await
        .unwrap();
    assert_eq!(page.results.len(), expected.len());
    let health = outbox.health().await.unwrap();
    assert_eq!(
        (health.waiting, health.oldest),
        (expected.len() as u64, Some(start()))
    );
    let failing = health.failing.unwrap();
    assert!(
        failing.error.contains("away") && failing.since == start(),
        "{failing:?}"
    );
    // Not a storm: a minute apart, less up to a half.
    let attempts = store.attempts();
    assert!((20..150).contains(&attempts), "{attempts}");

    store.be_away(false);
    let took = time.until_delivered(&outbox).await;
    assert!(took < Duration::from_secs(600), "{took:?}");
    assert_eq!(store.taken(), expected);
    let health = outbox.health().await.unwrap();
    assert_eq!((health.waiting, health.oldest, health.set_aside), (0, None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_one_result() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([Manner::LostAnswer, Manner::LostAnswer]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let result = result("ana", 0);
    outbox.save(&result).await.unwrap();
    time.until_delivered(&outbox).await;
    assert_eq!(store.taken(), [result.id; 3], "it was sent three times");
    let page = store
        .page(&result.principal, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(page.results, [result]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_delays_no_answer_and_one_that_hangs_is_left() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([
        Manner::Slow(Duration::from_secs(50)),
        Manner::Hangs,
        Manner::Slow(Duration::from_secs(50)),
    ]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let results: Vec<_> = (0..3).map(|second| result("ana", second)).collect();
    for result in &results {
        outbox.save(result).await.unwrap();
    }
    time.until_delivered(&outbox).await;
    let expected: Vec<_> = results.iter().map(|result| result.id).collect();
    assert_eq!(store.taken(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stores_wish_is_heeded_up_to_a_quarter_of_an_hour() {
    let time = Time::hold();
    // At most some minutes more: each moment that the disk takes counts as seconds.
    for (wish, least, most) in [(0, 0, 200), (300, 299, 600), (86_400, 899, 1_800)] {
        let store = Scripted::default();
        store.meets([Manner::Wishes(Duration::from_secs(wish))]);
        let outbox = outbox_at(&new_folder(), store.clone());
        outbox.save(&result("ana", 0)).await.unwrap();
        let waited = time.until_delivered(&outbox).await.as_secs();
        assert!((least..most).contains(&waited), "{wish}: {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_is_set_aside_and_others_go_on() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([Manner::Rejects]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let (poison, next) = (result("ana", 0), result("ana", 1));
    outbox.save(&poison).await.unwrap();
    outbox.save(&next).await.unwrap();
    time.until_delivered(&outbox).await;
    assert_eq!(store.taken(), [next.id]);
    assert_eq!(outbox.health().await.unwrap().set_aside, 1);
    // It is not lost.
    let page = outbox
        .page(&next.principal, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(page.results, [next, poison.clone()]);
    // It may be tried again, by hand or because it has changed.
    store.meets([Manner::Rejects]);
    outbox.reconsider().await.unwrap();
    time.until_delivered(&outbox).await;
    assert_eq!(outbox.health().await.unwrap().set_aside, 1);
    outbox.save(&poison).await.unwrap();
    time.until_delivered(&outbox).await;
    assert_eq!(store.taken()[1..], [poison.id]);
    assert!(outbox.delete(&poison.principal, poison.id).await.unwrap());
    assert_eq!(outbox.health().await.unwrap().set_aside, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_others_have_their_turn_and_each_users_order_stays() {
    let time = Time::hold();
    let store = Scripted::default();
    store.be_away(true);
    let outbox = outbox_at(&new_folder(), store.clone());
    let results: Vec<_> = (0..30)
        .map(|second| result(["ana", "bob", "eve"][second as usize % 3], second))
        .collect();
    for result in &results {
        outbox.save(result).await.unwrap();
    }
    // One user's results fail again and again, and more than once each.
    store.be_away(false);
    store.meets([Manner::Away; 40]);
    time.until_delivered(&outbox).await;
    let taken = store.taken();
    assert_eq!(taken.len(), results.len());
    for user in ["user/ana", "user/bob", "user/eve"] {
        let of_user = |id: &&AnalysisId| {
            let owner = results.iter().find(|result| result.id == **id).unwrap();
            owner.principal.to_string() == user
        };
        let order: Vec<_> = taken.iter().filter(of_user).collect();
        assert!(order.is_sorted(), "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_delays_no_other_user() {
    let time = Time::hold();
    let store = Scripted::default();
    let outbox = outbox_at(&new_folder(), store.clone());
    let results: Vec<_> = (0..20)
        .map(|second| result(["ana", "bob"][second as usize % 2], second))
        .collect();
    let (ana, bob) = (&results[0].principal, &results[1].principal);
    store.0.lock().unwrap().refuses_those_of = Some(ana.clone());
    for result in &results {
        outbox.save(result).await.unwrap();
    }
    let of = |user: &Scope| -> Vec<AnalysisId> {
        let of_user = results.iter().filter(|result| result.principal == *user);
        of_user.map(|result| result.id).collect()
    };
    for _ in 0..HOUR.as_secs() {
        if outbox.health().await.unwrap().waiting == of(ana).len() as u64 {
            break;
        }
        time.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(store.taken(), of(bob));
    store.0.lock().unwrap().refuses_those_of = None;
    time.until_delivered(&outbox).await;
    assert_eq!(store.taken()[of(bob).len()..], of(ana));
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_says_so_and_takes_more_when_it_is_not() {
    let time = Time::hold();
    let store = Scripted::default();
    store.be_away(true);
    let clock = ManualClock::at(start());
    let limits = OutboxLimits {
        results: 3,
        bytes: 1 << 20,
    };
    let outbox = Outbox::open(new_folder().join("outbox.sqlite3"), store.clone(), clock, limits).unwrap();
    for second in 0..3 {
        outbox.save(&result("ana", second)).await.unwrap();
    }
    let late = result("ana", 3);
    let ResultsError::Store(full) = outbox.save(&late).await.unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(full.kind(), StorageErrorKind::Full);
    store.be_away(false);
    time.until_delivered(&outbox).await;
    outbox.save(&late).await.unwrap();
    let mut large = result("ana", 4);
    large.output = "x".repeat(1 << 20);
    assert!(outbox.save(&large).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_state_that_changes_on_its_way_is_delivered_again() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([Manner::Slow(Duration::from_secs(30))]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let mut result = result("ana", 0);
    outbox.save(&result).await.unwrap();
    time.pass(Duration::from_secs(10)).await;
    result.status = Status::Ok;
    outbox.save(&result).await.unwrap();
    time.until_delivered(&outbox).await;
    let found = store.find(&result.principal, result.id).await.unwrap();
    assert_eq!(found, Some(result.clone()));
    // Another's id, which only the outbox can know.
    result.principal = "user/eve".parse().unwrap();
    let error = outbox.save(&result).await.unwrap_err();
    assert_eq!(error.kind(), ResultsErrorKind::IdTaken);
}

/// What the store said is about what it was sent, and not about what the result has become since.
#[tokio::test(start_paused = true)]
async fn a_state_that_changes_while_its_last_one_is_refused_has_its_own_attempt() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([Manner::RejectsAfter(Duration::from_secs(30))]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let mut result = result("ana", 0);
    outbox.save(&result).await.unwrap();
    time.pass(Duration::from_secs(10)).await;
    result.status = Status::Ok;
    outbox.save(&result).await.unwrap();
    time.until_delivered(&outbox).await;
    assert_eq!(outbox.health().await.unwrap().set_aside, 0);
    let found = store.find(&result.principal, result.id).await.unwrap();
    assert_eq!(found, Some(result));
}

/// Deleting waits for what is on its way, so that nothing comes back.
#[tokio::test(start_paused = true)]
async fn what_was_deleted_does_not_come_back() {
    let time = Time::hold();
    let store = Scripted::default();
    store.meets([Manner::Slow(Duration::from_secs(30))]);
    let outbox = outbox_at(&new_folder(), store.clone());
    let result = result("ana", 0);
    outbox.save(&result).await.unwrap();
    time.pass(Duration::from_secs(10)).await;
    let (deleted, ()) = tokio::join!(
        outbox.delete(&result.principal, result.id),
        time.pass(Duration::from_secs(60))
    );
    assert!(deleted.unwrap());
    time.until_delivered(&outbox).await;
    assert_eq!(outbox.find(&result.principal, result.id).await.unwrap(), None);
    assert_eq!(store.find(&result.principal, result.id).await.unwrap(), None);
}

// === processes ===

const CHILD: &str = "METERBOX_TEST_OUTBOX";

/// Runs one of the children below in a process of its own, until it kills itself.
fn killed(child: &str, folder: &Path) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", child, "--ignored", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(9), "{status}");
}

fn kill_me() -> ! {
    let me = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &me]).status();
    loop {
        std::thread::park();
    }
}

fn childs_folder() -> PathBuf {
    env::var_os(CHILD).expect("only as a child").into()
}

fn childs_results() -> Vec<AnalysisResult> {
    (0..5)
        .map(|second| {
            let mut result = result("ana", second);
            // The same in the parent.
            result.id = format!("01990000-0000-7000-8000-00000000000{second}")
                .parse()
                .unwrap();
            result
        })
        .collect()
}

#[tokio::test]
// Left out of an ordinary run because it is the program that a test below starts, and that dies on purpose.
#[ignore = "run by another test, in a process of its own"]
async fn child_that_answers_and_dies() {
    let store = Scripted::default();
    store.be_away(true);
    let outbox = outbox_at(&childs_folder(), store);
    for result in childs_results() {
        outbox.save(&result).await.unwrap();
    }
    kill_me();
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_delivered_by_the_next_process() {
    let folder = new_folder();
    killed("child_that_answers_and_dies", &folder);
    let store = Scripted::default();
    let outbox = outbox_at(&folder, store.clone());
    assert!(outbox.flush(Duration::from_secs(60)).await.unwrap());
    let expected: Vec<_> = childs_results().iter().map(|result| result.id).collect();
    assert_eq!(store.taken(), expected);
}

/// Keeps the result, and dies before it can say so.
#[derive(Debug)]
struct Deadly(SqliteResults);

#[async_trait]
impl ResultsStore for Deadly {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        self.0.save(result).await?;
        if result.id == childs_results()[2].id {
            kill_me();
        }
        Ok(())
    }

    async fn find(&self, _: &Scope, _: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        Err(away())
    }

    async fn page(&self, _: &Scope, _: PageRequest) -> Result<Page, ResultsError> {
        Err(away())
    }

    async fn delete(&self, _: &Scope, _: AnalysisId) -> Result<bool, ResultsError> {
        Err(away())
    }

    async fn expire(&self, _: Timestamp, _: usize) -> Result<usize, ResultsError> {
        Err(away())
    }

    async fn check(&self) -> Result<(), ResultsError> {
        Err(away())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
// Left out of an ordinary run because it is the program that the test below starts and kills.
#[ignore = "run by another test, in a process of its own"]
async fn child_that_dies_while_it_delivers() {
    let folder = childs_folder();
    let store = Deadly(SqliteResults::open(folder.join("store.sqlite3")).unwrap());
    let outbox = outbox_at(&folder, store);
    for result in childs_results() {
        outbox.save(&result).await.unwrap();
    }
    fs::write(folder.join("answered"), "").unwrap();
    outbox.flush(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_kill_between_delivery_and_its_note_leaves_each_result_once() {
    let folder = new_folder();
    killed("child_that_dies_while_it_delivers", &folder);
    let store = SqliteResults::open(folder.join("store.sqlite3")).unwrap();
    let outbox = outbox_at(&folder, store.clone());
    assert!(outbox.flush(Duration::from_secs(60)).await.unwrap());
    let page = store
        .page(&"user/ana".parse().unwrap(), PageRequest::default())
        .await
        .unwrap();
    // Those that were answered before it died, and no others.
    assert!((3..=5).contains(&page.results.len()));
    if folder.join("answered").exists() {
        assert_eq!(page.results.len(), 5);
    }
    let mut expected = childs_results();
    expected.truncate(page.results.len());
    expected.reverse();
    assert_eq!(page.results, expected);
}

/// Of two that share a file one delivers at a time, and nothing twice for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_file_deliver_each_result_once() {
    let folder = new_folder();
    let store = Scripted::default();
    let (one, two) = (
        outbox_at(&folder, store.clone()),
        outbox_at(&folder, store.clone()),
    );
    for second in 0..40 {
        let outbox = if second % 2 == 0 { &one } else { &two };
        outbox.save(&result("ana", second)).await.unwrap();
    }
    assert!(one.flush(Duration::from_secs(60)).await.unwrap());
    let taken = store.taken();
    assert_eq!(taken.len(), 40);
    assert!(taken.is_sorted());
}
