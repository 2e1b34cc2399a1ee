use super::InForce;
use crate::TopUp;

/// What there is about a scope. Most scopes have one account and nothing else, so that is what takes no second look.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The account that ends last.
    newest: Option<usize>,
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default)]
struct More {
    own: Option<InForce>,
    top_ups: Vec<TopUp>,
    /// The other accounts, by their end.
    earlier: Vec<usize>,
}

impl Row {
    /// The budget of exactly this scope.
    pub(super) fn own(&self) -> Option<&InForce> {
        self.more.as_ref()?.own.as_ref()
    }

    pub(super) fn set_own(&mut self, own: InForce) {
        self.more_mut().own = Some(own);
    }

    pub(super) fn take_own(&mut self) -> Option<InForce> {
        self.more.as_mut()?.own.take()
    }

    pub(super) fn top_ups(&self) -> &[TopUp] {
        self.more.as_ref().map_or(&[], |more| &more.top_ups)
    }

    pub(super) fn add_top_up(&mut self, top_up: TopUp) {
        self.more_mut().top_ups.push(top_up);
    }

    pub(super) fn clear_top_ups(&mut self) {
        if let Some(more) = &mut self.more {
            more.top_ups.clear();
        }
    }

    /// The account that ends last.
    pub(super) fn newest(&self) -> Option<usize> {
        self.newest
    }

    /// The accounts, the one that ends last first: nearly always it is the one that is looked for.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = usize> + '_ {
        self.newest
            .into_iter()
            .chain(self.earlier().iter().rev().copied())
    }

    /// The accounts, by their end.
    pub(super) fn accounts(&self) -> impl Iterator<Item = usize> + '_ {
        self.earlier().iter().copied().chain(self.newest)
    }

    /// Adds an account, given whether another one ends no later.
    pub(super) fn add_account(&mut self, account: usize, ends_no_later: impl Fn(usize) -> bool) {
        match self.newest {
            None => self.newest = Some(account),
            Some(newest) if ends_no_later(newest) => {
                self.newest = Some(account);
                self.more_mut().earlier.push(newest);
            }
            Some(_) => {
                let earlier = &mut self.more_mut().earlier;
                let place = earlier.partition_point(|known| ends_no_later(*known));
                earlier.insert(place, account);
            }
        }
    }

    fn earlier(&self) -> &[usize] {
        self.more.as_ref().map_or(&[], |more| &more.earlier)
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}
