//! Questions, each answered from one consistent view of the database.

use meterbox_core::{Scope, Timestamp};
use meterbox_postgres::{Connection, Fault, Transaction};
use tokio_postgres::IsolationLevel;

use super::{batch::Values, rows};
use crate::{
    Budget, BudgetStatus, Entry, EntryPage, HoldFilter, HoldId, HoldPage, Stop, TopUp, VerifyReport,
    audit::Auditor,
    ledger::{Books, Defined, HoldRecord},
};

type Read<T> = Result<T, Fault>;

/// So many rows are fetched at a time where all are wanted.
const PAGE: usize = 10_000;
/// No hold has this id, and all come after it.
const BEFORE_ALL: &str = "00000000-0000-0000-0000-000000000000";

async fn view(client: &mut Connection) -> Read<Transaction<'_>> {
    let view = client.build_transaction();
    Ok(view
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?)
}

pub(super) async fn budgets(client: &Connection) -> Read<Vec<Budget>> {
    let sql = format!("SELECT {} FROM budgets ORDER BY scope", rows::BUDGET);
    let found = client.query(&client.prepare_cached(&sql).await?, &[]).await?;
    found.iter().map(|row| Ok(rows::to_budget(row)?.budget)).collect()
}

pub(super) async fn provisions(client: &Connection) -> Read<Vec<Budget>> {
    let sql = format!(
        "SELECT {} FROM budgets WHERE setting IS NOT NULL ORDER BY scope",
        rows::BUDGET
    );
    let found = client.query(&client.prepare_cached(&sql).await?, &[]).await?;
    let defined = found.iter().map(rows::to_budget).collect::<Read<Vec<_>>>()?;
    Ok(defined.iter().filter_map(Defined::as_set).collect())
}

pub(super) async fn top_ups(client: &Connection, scope: &Scope) -> Read<Vec<TopUp>> {
    let sql = format!(
        "SELECT {} FROM top_ups WHERE scope = $1 ORDER BY top_ups.id",
        rows::TOP_UP
    );
    let statement = client.prepare_cached(&sql).await?;
    let found = client.query(&statement, &[&scope.to_string()]).await?;
    found.iter().map(rows::to_top_up).collect()
}

pub(super) async fn stopped(client: &Connection) -> Read<Option<Stop>> {
    let statement = client.prepare_cached("SELECT since, reason FROM stop").await?;
    client
        .query_opt(&statement, &[])
        .await?
        .as_ref()
        .map(rows::to_stop)
        .transpose()
}

pub(super) async fn has_expired(client: &Connection, now: Timestamp) -> Read<bool> {
    let sql = "SELECT EXISTS (SELECT FROM holds WHERE state = 'open' AND ends_at <= $1)";
    let statement = client.prepare_cached(sql).await?;
    rows::column(&client.query_one(&statement, &[&now.as_micros()]).await?, 0)
}

pub(super) async fn status(
    client: &mut Connection,
    now: Timestamp,
    scope: &Scope,
) -> Read<Option<BudgetStatus>> {
    let view = view(client).await?;
    let mut books = Books::default();
    let (name, wildcard) = (scope.to_string(), scope.wildcard().to_string());
    let sql = format!("SELECT {} FROM budgets WHERE scope IN ($1, $2)", rows::BUDGET);
    let budgets = view.prepare_cached(&sql).await?;
    let stop = view.prepare_cached("SELECT since, reason FROM stop").await?;
    let sql = format!(
        "SELECT {} FROM top_ups WHERE scope = $1 ORDER BY top_ups.id",
        rows::TOP_UP
    );
    let top_ups = view.prepare_cached(&sql).await?;
    // Sent at once: who asks waits for their round trips.
    let (both, own): (Values<'_, 2>, Values<'_, 1>) = ([&name, &wildcard], [&name]);
    let (budgets, stop, top_ups) = tokio::try_join!(
        view.query(&budgets, &both),
        view.query_opt(&stop, &[]),
        view.query(&top_ups, &own),
    )?;
    for row in &budgets {
        books.load_budget(rows::to_budget(row)?);
    }
    books.load_stop(stop.as_ref().map(rows::to_stop).transpose()?);
    for row in &top_ups {
        books.load_top_up(rows::to_top_up(row)?);
    }
    let since = books.accounts_matter_since(now, scope).as_micros();
    let sql = format!(
        "SELECT {} FROM balances b WHERE b.scope = $1 AND b.ends_at >= $2",
        rows::ACCOUNT
    );
    for row in &view
        .query(&view.prepare_cached(&sql).await?, &[&name, &since])
        .await?
    {
        books.load_account(rows::to_account(row)?);
    }
    view.commit().await?;
    Ok(books.status(now, scope))
}

pub(super) async fn hold(client: &mut Connection, id: HoldId) -> Read<Option<HoldRecord>> {
    let view = view(client).await?;
    let sql = format!("SELECT {} FROM holds WHERE id = $1::text::uuid", rows::HOLD);
    let found = view
        .query(&view.prepare_cached(&sql).await?, &[&id.to_string()])
        .await?;
    let mut holds = found.iter().map(rows::to_hold).collect::<Read<Vec<_>>>()?;
    complete(&view, &mut holds).await?;
    view.commit().await?;
    Ok(holds.pop())
}

pub(super) async fn holds(client: &mut Connection, page: HoldPage) -> Read<Vec<HoldRecord>> {
    let view = view(client).await?;
    let holds = page_of_holds(&view, page).await?;
    view.commit().await?;
    Ok(holds)
}

async fn page_of_holds(view: &Transaction<'_>, page: HoldPage) -> Read<Vec<HoldRecord>> {
    let only = match page.only {
        HoldFilter::All => "",
        HoldFilter::Open => "AND state = 'open'",
        HoldFilter::Estimated => "AND id IN (SELECT hold FROM intents WHERE state = 'booked')",
    };
    let sql = format!(
        "SELECT {} FROM holds WHERE id > $1::text::uuid {only} ORDER BY holds.id LIMIT $2",
        rows::HOLD
    );
    let after = page
        .after
        .map_or_else(|| BEFORE_ALL.to_owned(), |id| id.to_string());
    let statement = view.prepare_cached(&sql).await?;
    let found = view.query(&statement, &[&after, &limit(page.limit)]).await?;
    let mut holds = found.iter().map(rows::to_hold).collect::<Read<Vec<_>>>()?;
    complete(view, &mut holds).await?;
    Ok(holds)
}

async fn complete(view: &Transaction<'_>, holds: &mut [HoldRecord]) -> Read<()> {
    let ids: Vec<_> = holds.iter().map(|hold| hold.id.uuid()).collect();
    let claims = view
        .query(&view.prepare_cached(rows::CLAIMS).await?, &[&ids])
        .await?;
    let intents = view
        .query(&view.prepare_cached(rows::INTENTS).await?, &[&ids])
        .await?;
    rows::complete(holds, &claims, &intents)
}

pub(super) async fn entries(client: &mut Connection, page: EntryPage) -> Read<Vec<Entry>> {
    let view = view(client).await?;
    let entries = page_of_entries(&view, page).await?;
    view.commit().await?;
    Ok(entries)
}

async fn page_of_entries(view: &Transaction<'_>, page: EntryPage) -> Read<Vec<Entry>> {
    let sql = format!(
        "SELECT {} FROM entries WHERE seq > $1 ORDER BY seq LIMIT $2",
        rows::ENTRY
    );
    let after = i64::try_from(page.after).unwrap_or(i64::MAX);
    let statement = view.prepare_cached(&sql).await?;
    let found = view.query(&statement, &[&after, &limit(page.limit)]).await?;
    found.iter().map(rows::to_entry).collect()
}

pub(super) async fn spending(
    client: &Connection,
    scope: &Scope,
    from: Timestamp,
    to: Timestamp,
) -> Read<i64> {
    // The index `entries_by_time` finds the first of them: nothing counts later than it was booked.
    let sql = "SELECT coalesce(sum(spent_change), 0)::bigint FROM entries JOIN claims ON claims.hold = entries.hold
        WHERE spent_change <> 0 AND at >= $2 AND coalesce(counts_at, at) >= $2 AND coalesce(counts_at, at) < $3
            AND claims.scope = $1";
    let statement = client.prepare_cached(sql).await?;
    let (scope, from, to) = (scope.to_string(), from.as_micros(), to.as_micros());
    rows::column(&client.query_one(&statement, &[&scope, &from, &to]).await?, 0)
}

pub(super) async fn verify(client: &mut Connection) -> Read<VerifyReport> {
    let view = view(client).await?;
    let mut auditor = Auditor::default();
    let mut page = HoldPage {
        limit: PAGE,
        ..HoldPage::default()
    };
    loop {
        let holds = page_of_holds(&view, page).await?;
        let Some(last) = holds.last() else { break };
        page.after = Some(last.id);
        holds.into_iter().for_each(|hold| auditor.hold(hold));
    }
    let mut page = EntryPage {
        after: 0,
        limit: PAGE,
    };
    loop {
        let entries = page_of_entries(&view, page).await?;
        let Some(last) = entries.last() else { break };
        page.after = last.seq;
        entries.iter().for_each(|entry| auditor.entry(entry));
    }
    let sql = format!("SELECT {} FROM balances b", rows::ACCOUNT);
    for row in &view.query(&sql, &[]).await? {
        auditor.balance(&rows::to_account(row)?);
    }
    view.commit().await?;
    Ok(auditor.finish())
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
