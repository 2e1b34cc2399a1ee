//! Texts to count the tokens of.

/// What other tokenizers make of data: numbers, dates, markup, other scripts, nonsense.
pub(crate) fn usual() -> Vec<String> {
    let rows: String = (0..12)
        .map(|row| {
            format!(
                "{row},2025-03-{:02},{}.{:02},EUR,\"Müller & Söhne\"\n",
                row % 28 + 1,
                row * 7_919,
                row % 100
            )
        })
        .collect();
    let code = "def total(frame):\n    return frame.groupby(['region'])[\"revenue\"].sum().reset_index()\n"
        .repeat(5);
    vec![
        "Hi".to_owned(),
        "What was the revenue of each region in the second quarter of 2025, in euros?".to_owned(),
        rows,
        code,
        "1234567890 ".repeat(12),
        "収益はいくらですか。地域ごとの売上を教えてください。".to_owned(),
        "Сколько составила выручка по регионам? Ποια ήταν τα έσοδα;".to_owned(),
        "🙂👩‍👩‍👧‍👦✓→∑ ½ ﷽".to_owned(),
        "qzxjkvbqpwzx XKCDQJZV a1b2c3d4e5f6 0x7fffdeadbeef ".repeat(3),
        "|---|---|\n| a | b |\n\t\t\t\n\n\n    {[(<>)]}!@#$%^&*~`".repeat(2),
        "<|im_start|>system\nyou are<|im_end|>".to_owned(),
    ]
}

/// Texts at random, always the same, of every kind of letter.
pub(crate) fn random(count: usize) -> Vec<String> {
    let alphabets = [
        "0123456789",
        "0123456789.,-/:",
        "abcdefghijklmnopqrstuvwxyz ",
        " \n\t",
        "(){}[]<>\"'=_+*#@!$%&|~^",
        "ABCXYZ_abcxyz0189",
        "äöüßéñçøå ",
        "日本語売上地域の",
        "выручка ",
        "🙂✓→∑½",
        "aé日🙂0 \n.",
    ];
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % below
    };
    let mut text = || {
        let alphabet: Vec<char> = alphabets[next(alphabets.len())].chars().collect();
        let length = 1 + next(120);
        (0..length).map(|_| alphabet[next(alphabet.len())]).collect()
    };
    (0..count).map(|_| text()).collect()
}
