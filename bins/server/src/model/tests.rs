use std::collections::{HashMap, HashSet};

use super::*;

fn read(set: &[(&str, &str)], written: &str) -> Result<Option<ModelSettings>, ModelError> {
    let names = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let variables = Variables::of(&VARIABLES, &names.collect(), &HashSet::new());
    ModelSettings::read(&variables, &toml::from_str(written).unwrap())
}

fn provider_of(set: &[(&str, &str)]) -> Option<Provider> {
    read(set, "").unwrap().map(|settings| settings.provider)
}

#[test]
fn a_key_switches_a_model_on() {
    assert_eq!(provider_of(&[]), None);
    let azure = [
        ("AZURE_OPENAI_API_KEY", "k"),
        ("AZURE_OPENAI_ENDPOINT", "shop.openai.azure.com"),
        ("AZURE_OPENAI_DEPLOYMENT_NAME", "chat"),
    ];
    assert_eq!(provider_of(&azure), Some(Provider::Azure));
    let openai = [("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "gpt-5-mini")];
    assert_eq!(provider_of(&openai), Some(Provider::OpenAi));
    let local = [
        ("OPENAI_BASE_URL", "http://localhost:8000/v1"),
        ("OPENAI_MODEL", "m"),
    ];
    assert_eq!(provider_of(&local), Some(Provider::Compatible));
    let anthropic = [
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_MODEL", "claude-sonnet-4-5"),
    ];
    assert_eq!(provider_of(&anthropic), Some(Provider::Anthropic));
    let off = [azure.as_slice(), &[("MODEL_PROVIDER", "none")]].concat();
    assert_eq!(provider_of(&off), None);
    let one = [azure.as_slice(), &openai, &[("MODEL_PROVIDER", "openai")]].concat();
    assert_eq!(provider_of(&one), Some(Provider::OpenAi));
}

#[test]
fn the_file_lays_down_the_rest() {
    let set = [("OPENAI_API_KEY", "sk-hunter2"), ("MODEL_ROUTER", "off")];
    let file =
        "model = 'gpt-5-mini'\napi = 'responses'\neffort = 'low'\nmax_output = 9000\nrouter = 'always'";
    let settings = read(&set, file).unwrap().unwrap();
    assert_eq!((settings.trust, settings.api), (Trust::Off, Some(Api::Responses)));
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
}

#[test]
fn an_address_in_the_file_is_where_questions_go() {
    let key = ("OPENAI_API_KEY", "sk-hunter2");
    for (set, file) in [
        (vec![key], "provider = 'openai'\n"),
        (vec![key], ""),
        (vec![], ""),
    ] {
        let file = format!("{file}base_url = 'https://gateway.example.org/v1'\nmodel = 'm'");
        let settings = read(&set, &file).unwrap().unwrap();
        assert_eq!(settings.provider, Provider::Compatible, "{set:?} {file}");
        crate::tls::install();
        assert_eq!(settings.model().unwrap().card().server, "gateway.example.org");
    }
}

#[test]
fn a_cap_on_the_output_leaves_the_least_of_a_model_that_reasons() {
    crate::tls::install();
    for (model, most, caps) in [
        ("gpt-5-mini", 8_000, (2_000, 8_000)),
        ("gpt-5-mini", 1_000, (1_000, 1_000)),
        ("gpt-4.1", 8_000, (300, 8_000)),
    ] {
        let file = format!("model = '{model}'\nmax_output = {most}");
        let settings = read(&[("OPENAI_API_KEY", "k")], &file).unwrap().unwrap();
        let card = settings.model().unwrap().card().clone();
        assert_eq!((card.min_output_cap, card.max_output_cap), caps, "{model}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_fix() {
    let key = ("OPENAI_API_KEY", "sk-hunter2");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 8] = [
        (&[key], "", "OPENAI_MODEL is not set"),
        (
            &[key, ("ANTHROPIC_API_KEY", "k")],
            "",
            "OPENAI_API_KEY and ANTHROPIC_API_KEY are both set",
        ),
        (&[("MODEL_PROVIDER", "azur")], "", "MODEL_PROVIDER is \"azur\""),
        (
            &[("MODEL_PROVIDER", "anthropic"), ("ANTHROPIC_MODEL", "c")],
            "",
            "ANTHROPIC_API_KEY is not set",
        ),
        (
            &[
                ("AZURE_OPENAI_API_KEY", "k"),
                ("AZURE_OPENAI_DEPLOYMENT_NAME", "d"),
            ],
            "",
            "AZURE_OPENAI_ENDPOINT is not set",
        ),
        (
            &[key, ("OPENAI_MODEL", "m"), ("MODEL_ROUTER", "on")],
            "",
            "MODEL_ROUTER is \"on\"",
        ),
        (
            &[key, ("OPENAI_MODEL", "m")],
            "effort = 'much'",
            "effort is \"much\"",
        ),
        (
            &[key, ("OPENAI_MODEL", "m")],
            "api = 'soap'",
            "none of chat, responses, messages",
        ),
    ];
    for (set, file, said) in cases {
        let error = read(set, file).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("Fix: "), "{said}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_file_does_not_choose_who_is_sent_a_key_of_the_environment() {
    let names = [
        ("OPENAI_BASE_URL", "https://elsewhere.example.com/v1"),
        ("OPENAI_API_KEY", "sk-hunter2"),
        ("OPENAI_MODEL", "m"),
    ];
    let names: HashMap<_, _> = names
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let read = |in_files: &[&str]| {
        let in_files = in_files.iter().map(|name| (*name).to_owned()).collect();
        ModelSettings::read(
            &Variables::of(&VARIABLES, &names, &in_files),
            &WrittenModel::default(),
        )
    };
    let error = read(&["OPENAI_BASE_URL"]).unwrap_err().to_string();
    assert!(
        error.starts_with("OPENAI_BASE_URL comes from an .env file"),
        "{error}"
    );
    assert!(read(&["OPENAI_BASE_URL", "OPENAI_API_KEY"]).unwrap().is_some());
    assert!(read(&[]).unwrap().is_some());
}
