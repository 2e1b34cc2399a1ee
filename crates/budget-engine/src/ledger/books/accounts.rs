/// Numbers of accounts, in place: a hold seldom has more than a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Accounts {
    Few { count: u8, numbers: [u32; FEW] },
    Many(Box<[usize]>),
}

const FEW: usize = 5;

impl Accounts {
    pub(super) fn get(&self, place: usize) -> Option<usize> {
        match self {
            Self::Few { count, numbers } if place < usize::from(*count) => numbers
                .get(place)
                .and_then(|number| usize::try_from(*number).ok()),
            Self::Few { .. } => None,
            Self::Many(numbers) => numbers.get(place).copied(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..).map_while(|place| self.get(place))
    }
}

impl From<&[usize]> for Accounts {
    fn from(accounts: &[usize]) -> Self {
        let mut numbers = [0; FEW];
        let Some(places) = numbers.get_mut(..accounts.len()) else {
            return Self::Many(accounts.into());
        };
        for (place, account) in places.iter_mut().zip(accounts) {
            match u32::try_from(*account) {
                Ok(number) => *place = number,
                Err(_) => return Self::Many(accounts.into()),
            }
        }
        match u8::try_from(accounts.len()) {
            Ok(count) => Self::Few { count, numbers },
            Err(_) => Self::Many(accounts.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_the_same_numbers() {
        let large = usize::try_from(u64::from(u32::MAX) + 1).unwrap();
        for numbers in [
            &[][..],
            &[3],
            &[0, 1, 2, 3, 4],
            &[0, 1, 2, 3, 4, 5],
            &[1, large],
            &[0; 300],
        ] {
            let accounts = Accounts::from(numbers);
            assert_eq!(accounts.iter().collect::<Vec<_>>(), numbers);
            assert_eq!(accounts.get(numbers.len()), None);
        }
    }
}
