//! The crate `postgrest` sends what our client does, where it can do the same.

#[path = "../../../crates/results-store/tests/common/requests.rs"]
mod requests;

use postgrest::Postgrest;

#[tokio::test]
async fn our_requests_say_what_the_crate_says() {
    let recorder = requests::recorder().await;
    let client = Postgrest::new(recorder.url()).insert_header("apikey", requests::KEY);
    let things = || client.from("things").auth(requests::TOKEN);
    let sent = [
        things()
            .select("id,document")
            .eq("principal", "user/ana")
            .lt("id", "01990000-0000-7000-8000-000000000000")
            .order("id.desc"),
        things()
            .select("name")
            .eq("name", "say \"hi\" & ü=+%, (a)")
            .is("note", "null"),
        things()
            .select("size")
            .gte("size", "2")
            .neq("size", "4")
            .order("size.asc,name.desc")
            .exact_count(),
        things().insert(r#"[{ "name": "a", "size": 1 }]"#),
        things()
            .upsert(r#"[{ "name": "a", "size": 2 }]"#)
            .on_conflict("principal,name"),
        things().eq("name", "a").select("name").delete(),
        client
            .rpc("sum_of", r#"{ "one": 40, "two": 2 }"#)
            .auth(requests::TOKEN),
    ];
    let expected = sent.len();
    for request in sent {
        request.execute().await.expect("the recorder is content");
    }
    let theirs: Vec<_> = recorder
        .heard()
        .iter()
        .map(|request| requests::said(request))
        .collect();
    assert_eq!(theirs.len(), expected);
    let ours = requests::ours().await;
    for (mut ours, mut theirs) in ours.into_iter().zip(theirs) {
        // The crate asks for all rows back, whatever it does; ours only where it counts them.
        for said in [&mut ours, &mut theirs] {
            said.prefer.retain(|wish| !wish.starts_with("return="));
        }
        assert_eq!(ours, theirs);
    }
}
