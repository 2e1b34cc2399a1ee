//! The settings that say where results are kept. Only the environment may: a `.env` that came with somebody's data must
//! not send answers elsewhere.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use meterbox_http_client::{BadAddress, Secret, is_on_this_machine, parse_address};
use meterbox_results_store::SupabaseAuth;

pub(crate) const SUPABASE_URL: &str = "SUPABASE_URL";
const ANON_KEY: &str = "SUPABASE_ANON_KEY";
const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
const JWT_SECRET: &str = "SUPABASE_JWT_SECRET";
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";
/// All of them.
pub(crate) const VARIABLES: [&str; 5] = [SUPABASE_URL, ANON_KEY, SERVICE_ROLE_KEY, JWT_SECRET, DATABASE_URL];
/// HS256 needs as many bytes, and so does Supabase.
const SECRET_BYTES: usize = 32;

/// Where results are kept.
#[derive(Debug, Clone)]
pub(crate) enum ResultsPlace {
    /// In the data folder.
    Here,
    Postgres {
        url: Secret,
    },
    Supabase {
        url: String,
        auth: SupabaseAuth,
    },
}

/// A setting that stops the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidPlace {
    #[error(
        "{SUPABASE_URL} is {0:?}, which is no address. Fix: set {SUPABASE_URL}=https://YOUR-PROJECT.supabase.co."
    )]
    Address(String),
    #[error(
        "{SUPABASE_URL} is not https, and not on this machine, so anybody on the way could read keys and answers. \
         Fix: use https."
    )]
    Unencrypted,
    #[error(
        "{SUPABASE_URL} is set, and no key opens it. Fix: set {SERVICE_ROLE_KEY}; or {ANON_KEY} and {JWT_SECRET}; or, for \
         a single tenant, {ANON_KEY} alone."
    )]
    NoKey,
    #[error("{0} is set, and {SUPABASE_URL} is not. Fix: set both, or neither.")]
    NoAddress(&'static str),
    #[error(
        "{JWT_SECRET} is set, and {ANON_KEY} is not, which requests need beside it. Fix: set {ANON_KEY} too."
    )]
    NoAnonKey,
    #[error(
        "{JWT_SECRET} is shorter than {SECRET_BYTES} bytes, so it is not the project's. \
         Fix: copy it whole from the project's settings."
    )]
    ShortSecret,
    #[error(
        "{name} is the key of another role: {found}. Fix: copy the {wanted} key from the project's settings."
    )]
    WrongKey {
        name: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("{0} has a space or a line break in it. Fix: copy the key alone, without quotes.")]
    BrokenKey(&'static str),
    #[error(
        "{DATABASE_URL} is no address of a Postgres database. \
         Fix: set {DATABASE_URL}=postgres://user:password@host:5432/database, special characters percent-encoded."
    )]
    Database,
}

impl ResultsPlace {
    /// From these settings. Supabase wins over a Postgres database, whose address may be there for other reasons.
    pub(crate) fn from_names<'a>(set: impl Fn(&str) -> Option<&'a str>) -> Result<Self, InvalidPlace> {
        let Some(url) = set(SUPABASE_URL) else {
            if let Some(name) = [ANON_KEY, SERVICE_ROLE_KEY, JWT_SECRET]
                .into_iter()
                .find(|name| set(name).is_some())
            {
                return Err(InvalidPlace::NoAddress(name));
            }
            return set(DATABASE_URL).map_or(Ok(Self::Here), postgres);
        };
        let url = address(url)?;
        let anon_key = key(set(ANON_KEY), ANON_KEY, "anon")?;
        let service_role_key = key(set(SERVICE_ROLE_KEY), SERVICE_ROLE_KEY, "service_role")?;
        let auth = match (anon_key, service_role_key, set(JWT_SECRET)) {
            (_, _, Some(secret)) if secret.len() < SECRET_BYTES => return Err(InvalidPlace::ShortSecret),
            (Some(anon_key), _, Some(secret)) => SupabaseAuth::users(anon_key, secret),
            (None, _, Some(_)) => return Err(InvalidPlace::NoAnonKey),
            (_, Some(service_role_key), None) => SupabaseAuth::service(service_role_key),
            (Some(anon_key), None, None) => SupabaseAuth::anonymous(anon_key),
            (None, None, None) => return Err(InvalidPlace::NoKey),
        };
        Ok(Self::Supabase { url, auth })
    }

    /// For machines.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Here => "data_folder",
            Self::Postgres { .. } => "postgres",
            Self::Supabase { .. } => "supabase",
        }
    }

    /// What somebody should know who thinks that tenants are kept apart.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Supabase {
                auth: SupabaseAuth::Anonymous { .. },
                ..
            } => Some(
                "with SUPABASE_ANON_KEY alone everybody who has that key can read and change all results; set \
                 SUPABASE_SERVICE_ROLE_KEY or SUPABASE_JWT_SECRET to keep tenants apart",
            ),
            _ => None,
        }
    }
}

/// Without keys and passwords.
impl fmt::Display for ResultsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("data folder"),
            Self::Postgres { .. } => f.write_str("Postgres of DATABASE_URL"),
            Self::Supabase { url, auth } => {
                let opened_by = match auth {
                    SupabaseAuth::Anonymous { .. } => "the anonymous key",
                    SupabaseAuth::Service { .. } => "the service-role key",
                    _ => "tokens of users",
                };
                write!(f, "Supabase at {url}, opened by {opened_by}")
            }
        }
    }
}

fn postgres(url: &str) -> Result<ResultsPlace, InvalidPlace> {
    let schemes = ["postgres://", "postgresql://"];
    let is_address = schemes.iter().any(|scheme| url.starts_with(scheme)) || url.contains("host=");
    if !is_address {
        return Err(InvalidPlace::Database);
    }
    Ok(ResultsPlace::Postgres {
        url: Secret::new(url),
    })
}

/// A bare host means https.
fn address(text: &str) -> Result<String, InvalidPlace> {
    // Whatever it is, it may be a key in the wrong place.
    let shown = || text.chars().take(12).collect::<String>();
    let url = parse_address(text).map_err(|bad| match bad {
        BadAddress::Unencrypted => InvalidPlace::Unencrypted,
        _ => InvalidPlace::Address(shown()),
    })?;
    let is_a_domain = url.host_str().is_some_and(|host| host.contains('.'));
    if !is_a_domain && !is_on_this_machine(&url) {
        return Err(InvalidPlace::Address(shown()));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A key that says of itself that it is of another role is in the wrong place.
fn key(key: Option<&str>, name: &'static str, wanted: &'static str) -> Result<Option<String>, InvalidPlace> {
    let Some(key) = key else { return Ok(None) };
    if key.contains(char::is_whitespace) || key.contains(['"', '\'']) {
        return Err(InvalidPlace::BrokenKey(name));
    }
    match role_of(key) {
        Some(found) if found != wanted => Err(InvalidPlace::WrongKey { name, found, wanted }),
        _ => Ok(Some(key.to_owned())),
    }
}

fn role_of(key: &str) -> Option<String> {
    if key.starts_with("sb_publishable_") {
        return Some("anon".to_owned());
    }
    if key.starts_with("sb_secret_") {
        return Some("service_role".to_owned());
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(key.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let role = claims.get("role")?.as_str()?;
    Some(role.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://abc.supabase.co";
    const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

    fn place(names: &[(&str, &'static str)]) -> Result<ResultsPlace, InvalidPlace> {
        ResultsPlace::from_names(|name| {
            let found = names.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        })
    }

    fn jwt(role: &str) -> &'static str {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"role\":\"{role}\"}}"));
        Box::leak(format!("eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln").into_boxed_str())
    }

    #[test]
    fn each_set_of_keys_opens_a_project_in_its_way() {
        let shown = |names: &[(&str, &'static str)]| place(names).unwrap().to_string();
        assert_eq!(shown(&[]), "data folder");
        let anon = (ANON_KEY, jwt("anon"));
        let service = (SERVICE_ROLE_KEY, "sb_secret_x");
        let secret = (JWT_SECRET, SECRET);
        let url = (SUPABASE_URL, URL);
        assert!(shown(&[url, anon]).ends_with("the anonymous key"));
        assert!(shown(&[url, anon, service]).ends_with("the service-role key"));
        assert!(shown(&[url, anon, service, secret]).ends_with("tokens of users"));
        let bare = shown(&[(SUPABASE_URL, "abc.supabase.co/"), anon]);
        assert!(bare.contains("https://abc.supabase.co,"), "{bare}");
        assert!(place(&[url, anon]).unwrap().warning().is_some());
        assert!(place(&[url, anon, secret]).unwrap().warning().is_none());
        let database = (DATABASE_URL, "postgres://ana:hunter2@db/x");
        let postgres = place(&[database]).unwrap();
        assert!(!format!("{postgres:?} {postgres}").contains("hunter2"));
        assert!(shown(&[database, url, anon]).starts_with("Supabase"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix_and_no_key_is_shown() {
        let hidden = "hunter2hunter2hunter2hunter2hunter2";
        for (names, said) in [
            (vec![(SUPABASE_URL, URL)], "no key opens it"),
            (
                vec![(ANON_KEY, hidden)],
                "SUPABASE_ANON_KEY is set, and SUPABASE_URL is not",
            ),
            (
                vec![(SUPABASE_URL, URL), (JWT_SECRET, hidden)],
                "SUPABASE_ANON_KEY is not",
            ),
            (
                vec![(SUPABASE_URL, URL), (ANON_KEY, "x"), (JWT_SECRET, "hunter2")],
                "shorter than 32 bytes",
            ),
            (
                vec![(SUPABASE_URL, URL), (ANON_KEY, jwt("service_role"))],
                "SUPABASE_ANON_KEY is the key of another role: service_role",
            ),
            (
                vec![(SUPABASE_URL, URL), (SERVICE_ROLE_KEY, "sb_publishable_hunter2")],
                "SUPABASE_SERVICE_ROLE_KEY is the key of another role: anon",
            ),
            (vec![(SUPABASE_URL, URL), (ANON_KEY, "\"hunter2\"")], "line break"),
            (
                vec![(SUPABASE_URL, "http://abc.supabase.co"), (ANON_KEY, "x")],
                "not https",
            ),
            (vec![(SUPABASE_URL, "abc"), (ANON_KEY, "x")], "no address"),
            (
                vec![(SUPABASE_URL, "https://a:hunter2@b.co"), (ANON_KEY, "x")],
                "no address",
            ),
            (
                vec![(DATABASE_URL, "mysql://a:hunter2@b/c")],
                "DATABASE_URL is no address",
            ),
        ] {
            let error = place(&names).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("Fix: "), "{said}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
