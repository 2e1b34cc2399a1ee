//! The native part of the jail: its library, and the bytes that go to it and come from it.

/// The shared library; empty where there are no jails.
pub(crate) const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jail.so"));

#[path = "../native/wire.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "one side uses one half, and the other is compiled apart"
)]
pub(crate) mod wire;

#[path = "../native/numbers.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "compiled apart")]
pub(crate) mod numbers;

/// The bits of these guards. Unknown names belong to other parts.
pub(crate) fn guards(names: &[&str]) -> u64 {
    let bit = |name: &&str| wire::GUARDS.iter().position(|guard| guard == name);
    names.iter().filter_map(bit).fold(0, |bits, bit| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use syscalls::{aarch64, x86_64};

    use super::numbers;
    use super::wire::{Failed, JobHeader, News, Precedence, Request};

    #[test]
    fn the_numbers_are_the_kernels() {
        for (name, x86_64, aarch64) in numbers::ALL {
            let name = name.to_lowercase();
            assert_eq!(
                name.parse::<x86_64::Sysno>().unwrap().id() as usize,
                *x86_64,
                "{name}"
            );
            assert_eq!(
                name.parse::<aarch64::Sysno>().unwrap().id() as usize,
                *aarch64,
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_sent_is_what_is_received() {
        let request = Request {
            id: 7,
            warm: true,
            grouped: true,
        };
        assert_eq!(Request::decode(&request.encode()), Some(request));
        for after_others in [true, false] {
            let told = Precedence { id: 7, after_others };
            assert_eq!(Precedence::decode(&told.encode()), Some(told));
        }
        assert_ne!(Precedence::LENGTH, Request::LENGTH, "told apart by it");
        let ended = News::Ended {
            id: 7,
            status: -1,
            cpu_micros: 1 << 40,
            peak_bytes: 3,
        };
        for news in [
            ended,
            News::Started { id: 7, pid: 9 },
            News::Refused { id: 7, errno: 11 },
        ] {
            assert_eq!(News::decode(&news.encode()), Some(news));
        }
        let failed = Failed { step: 3, errno: 13 };
        let mut bytes = failed.encode().to_vec();
        bytes.extend(b"orders.csv");
        assert_eq!(Failed::decode(&bytes), Some((failed, &b"orders.csv"[..])));
        let header = JobHeader {
            threads: 5,
            document: 99,
            ..JobHeader::default()
        };
        assert_eq!(JobHeader::decode(&header.encode()), Some(header));
    }

    #[test]
    fn what_is_cut_or_unknown_is_nothing() {
        assert_eq!(Request::decode(&[0; 15]), None);
        assert_eq!(News::decode(&[0; News::LENGTH]), None);
        assert_eq!(News::decode(&[0xff; News::LENGTH]), None);
        assert_eq!(Failed::decode(b"failed"), None);
        assert_eq!(JobHeader::decode(&[0; JobHeader::LENGTH - 1]), None);
    }
}
