//! Anthropic publishes no tokenizer; others have reconstructed what it counts. Our estimates are never below that.

mod models;

use meterbox_llm_codegen::chat::{ChatModel, ChatRequest, http::HttpModel};
use meterbox_testkit::peer_python_of;
use models::{asking, client, peer, texts};
use serde_json::Value;

#[tokio::test]
async fn no_generation_of_claude_makes_more_tokens_than_was_estimated() {
    let lock = peer::peers().join("claude-tokens.txt");
    let Some(python) = peer_python_of("3.13", "claude-tokens", &lock) else {
        return;
    };
    let builder = HttpModel::anthropic(client(), "claude-sonnet-5");
    let model = builder.key("k").build().expect("a model");
    let mut all = texts::usual();
    all.extend(texts::random(1_000));
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "crates/sandbox-client/prelude/meterbox_prelude.py",
    ] {
        let path = peer::peers().join("../../../..").join(file);
        all.push(std::fs::read_to_string(path).expect("a file of ours"));
    }
    let lines: Vec<Value> = all.iter().map(|text| Value::from(text.as_str())).collect();
    let counted = peer::answers(&python, "claude_tokens.py", &lines).await;
    let mut too_low: Vec<(u64, u64, &str)> = Vec::new();
    let (mut all_estimated, mut all_made) = (0, 0);
    for (text, made) in all.iter().zip(&counted) {
        let made = made
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .max();
        let made = made.expect("counts");
        let bare = ChatRequest {
            instructions: String::new(),
            ..asking(text)
        };
        let estimated = model.count_input(&bare);
        if estimated < made {
            too_low.push((estimated, made, text));
        }
        all_estimated += estimated;
        all_made += made;
    }
    assert_eq!(too_low, [], "estimated, made, text");
    assert!(all_estimated < all_made * 3, "{all_estimated} for {all_made}");
}
