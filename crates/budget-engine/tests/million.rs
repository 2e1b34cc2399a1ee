//! A million random operations beside a reference that only adds and compares.
//!
//! Unlike in `model.rs` nobody overdraws here and no limit is cut below what is used, so after every single step spent
//! and held must be within every limit.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_budget_engine::{
    Budget, BudgetError, HoldId, HoldRequest, HoldState, LedgerStore, MemoryLedger, Unbudgeted, Window,
    ledger::{HoldAction, IntentId, OpenHold},
};
use meterbox_core::{Scope, Timestamp, Usd, contract::CostLine};

const OPERATIONS: u32 = 1_000_000;
const KINDS: [&str; 5] = ["org", "team", "user", "session", "task"];
const KEYS: usize = 8;
const OPEN_AT_ONCE: usize = 24;
const TTL_SECONDS: u64 = 500;

/// xorshift64*: the same sequence on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

#[derive(Default, Clone, Copy)]
struct Account {
    limit: u64,
    spent: u64,
    held: u64,
}

struct Hold {
    id: HoldId,
    accounts: Vec<usize>,
    left: u64,
    drawn: u64,
    ends: u64,
    /// A call under way: its name, its worst case, and what is metered of it.
    call: Option<(IntentId, u64, u64)>,
}

struct Reference {
    ledger: MemoryLedger,
    scopes: Vec<Scope>,
    accounts: Vec<Account>,
    holds: Vec<Hold>,
    names: u64,
    second: u64,
}

impl Reference {
    async fn new(limits: &mut Dice) -> Self {
        let ledger = MemoryLedger::new();
        let scopes: Vec<Scope> = KINDS
            .iter()
            .flat_map(|kind| (0..KEYS).map(move |key| Scope::new(kind, &key.to_string()).unwrap()))
            .collect();
        let mut accounts = vec![Account::default(); scopes.len()];
        for (scope, account) in scopes.iter().zip(&mut accounts) {
            account.limit = 10_000_000 + limits.below(100_000_000);
            define(&ledger, scope, account.limit).await;
        }
        Self {
            ledger,
            scopes,
            accounts,
            holds: Vec::new(),
            names: 0,
            second: 0,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(self.second))
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("00000000-0000-7000-8000-{:012x}", self.names)
    }

    async fn open(&mut self, dice: &mut Dice) {
        let mut accounts = Vec::new();
        for kind in 0..KINDS.len() {
            if dice.below(2) == 0 {
                accounts.push(kind * KEYS + usize::try_from(dice.below(KEYS as u64)).unwrap());
            }
        }
        if accounts.is_empty() {
            accounts.push(0);
        }
        let amount = 1 + dice.below(50_000);
        let id: HoldId = self.name().parse().unwrap();
        let mut scopes: Vec<Scope> = accounts
            .iter()
            .map(|account| self.scopes[*account].clone())
            .collect();
        scopes.sort();
        let open = OpenHold {
            id,
            request: HoldRequest::new(scopes, usd(amount), "million")
                .ttl(Duration::from_secs(TTL_SECONDS))
                .grace(Duration::ZERO),
            unbudgeted: Unbudgeted::Refuse,
        };
        let fits = accounts.iter().all(|account| {
            let Account { limit, spent, held } = self.accounts[*account];
            spent + held + amount <= limit
        });
        match self.ledger.open(self.now(), open).await {
            Ok(status) => assert!(fits && status.amount == usd(amount)),
            Err(BudgetError::Refused { .. }) => {
                assert!(!fits);
                return;
            }
            Err(error) => panic!("{error}"),
        }
        accounts
            .iter()
            .for_each(|account| self.accounts[*account].held += amount);
        self.holds.push(Hold {
            id,
            accounts,
            left: amount,
            drawn: 0,
            ends: self.second + TTL_SECONDS,
            call: None,
        });
    }

    async fn act(&mut self, index: usize, action: HoldAction) {
        let status = self
            .ledger
            .act(self.now(), self.holds[index].id, action)
            .await
            .unwrap();
        assert_eq!(status.drawn, usd(self.holds[index].drawn));
    }

    /// Moves money of a hold from held to spent, in the reference.
    fn spend(&mut self, index: usize, amount: u64) {
        let hold = &mut self.holds[index];
        hold.left -= amount;
        hold.drawn += amount;
        for account in &hold.accounts {
            self.accounts[*account].held -= amount;
            self.accounts[*account].spent += amount;
        }
    }

    /// The other way round.
    fn take_back(&mut self, index: usize, amount: u64) {
        let hold = &mut self.holds[index];
        hold.left += amount;
        hold.drawn -= amount;
        for account in &hold.accounts {
            self.accounts[*account].held += amount;
            self.accounts[*account].spent -= amount;
        }
    }

    async fn call(&mut self, index: usize, dice: &mut Dice) {
        match self.holds[index].call {
            None => {
                let worst = dice.below(self.holds[index].left + 1);
                let intent: IntentId = self.name().parse().unwrap();
                self.holds[index].call = Some((intent, worst, 0));
                let line = line(worst);
                self.act(
                    index,
                    HoldAction::Intend {
                        intent,
                        line,
                        reference: None,
                    },
                )
                .await;
            }
            Some((intent, worst, metered)) if dice.below(2) == 0 => {
                let more = dice.below(worst - metered + 1);
                self.spend(index, more);
                self.holds[index].call = Some((intent, worst, metered + more));
                self.act(
                    index,
                    HoldAction::Meter {
                        intent,
                        lines: vec![line(more)],
                    },
                )
                .await;
            }
            Some((intent, worst, metered)) => {
                let used = dice.below(worst + 1);
                self.take_back(index, metered);
                self.spend(index, used);
                self.holds[index].call = None;
                self.act(
                    index,
                    HoldAction::Resolve {
                        intent,
                        lines: vec![line(used)],
                    },
                )
                .await;
            }
        }
    }

    async fn draw(&mut self, index: usize, dice: &mut Dice) {
        let hold = &self.holds[index];
        let meant = hold.call.map_or(0, |(_, worst, metered)| worst - metered);
        let amount = dice.below(hold.left - meant + 1);
        self.spend(index, amount);
        let line = line(amount);
        self.act(index, HoldAction::Draw { key: None, line }).await;
    }

    async fn close(&mut self, index: usize) {
        self.end(index);
        let hold = self.holds.swap_remove(index);
        let close = HoldAction::Close {
            state: HoldState::Settled,
        };
        let status = self.ledger.act(self.now(), hold.id, close).await.unwrap();
        assert_eq!(status.drawn, usd(hold.drawn));
        self.check(&hold.accounts).await;
    }

    /// A call of unknown use is booked at its worst case, the rest is free.
    fn end(&mut self, index: usize) {
        if let Some((_, worst, metered)) = self.holds[index].call.take() {
            self.spend(index, worst - metered);
        }
        let hold = &self.holds[index];
        for account in &hold.accounts {
            self.accounts[*account].held -= hold.left;
        }
    }

    async fn wait(&mut self, seconds: u64) {
        self.second += seconds;
        let expired = self.ledger.expire(self.now()).await.unwrap().len();
        let mut ended = 0;
        for index in (0..self.holds.len()).rev() {
            if self.holds[index].ends <= self.second {
                self.end(index);
                self.holds.swap_remove(index);
                ended += 1;
            }
        }
        assert_eq!(expired, ended);
    }

    async fn raise(&mut self, dice: &mut Dice) {
        let index = usize::try_from(dice.below(self.scopes.len() as u64)).unwrap();
        let account = &mut self.accounts[index];
        account.limit = account.spent + account.held + dice.below(20_000_000);
        define(&self.ledger, &self.scopes[index], account.limit).await;
    }

    async fn check(&self, accounts: &[usize]) {
        for index in accounts {
            let Account { limit, spent, held } = self.accounts[*index];
            assert!(spent + held <= limit);
            let status = self
                .ledger
                .status(self.now(), &self.scopes[*index])
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                (status.spent, status.held, status.limit),
                (usd(spent), usd(held), usd(limit))
            );
        }
    }
}

async fn define(ledger: &MemoryLedger, scope: &Scope, limit: u64) {
    let budget = Budget::new(scope.clone(), usd(limit), Window::Lifetime);
    ledger.define(Timestamp::UNIX_EPOCH, budget).await.unwrap();
}

fn usd(nanos: u64) -> Usd {
    Usd::from_nanos(nanos).unwrap()
}

fn line(amount: u64) -> CostLine {
    CostLine {
        item: "call".into(),
        quantity: amount,
        unit: "things".into(),
        amount: usd(amount),
        estimated: false,
        price: None,
    }
}

#[tokio::test]
async fn a_million_operations_agree_with_addition() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut reference = Reference::new(&mut dice).await;
    for _ in 0..OPERATIONS {
        let open = reference.holds.len();
        let pick = usize::try_from(dice.below(open.max(1) as u64)).unwrap();
        let touched = reference.holds.get(pick).map(|hold| hold.accounts.clone());
        match dice.below(100) {
            0 => reference.wait(1 + TTL_SECONDS / 20).await,
            1 => reference.raise(&mut dice).await,
            2..30 if open < OPEN_AT_ONCE => reference.open(&mut dice).await,
            _ if open == 0 => reference.open(&mut dice).await,
            2..45 => reference.close(pick).await,
            45..75 => reference.call(pick, &mut dice).await,
            _ => reference.draw(pick, &mut dice).await,
        }
        reference.check(touched.as_deref().unwrap_or_default()).await;
    }
    let report = reference.ledger.verify().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert!(
        report.entries > u64::from(OPERATIONS) / 2 && report.holds > 100_000,
        "{report:?}"
    );
}
