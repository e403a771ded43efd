//! The demonstration: a newcomer sees the product at work.

use starscreen_tests::Home;

use crate::product_binary;

#[test]
fn the_demonstration_ends_with_a_ranking_and_a_quote_for_each() {
    let home = Home::new(&product_binary());
    let shown = home.run(&["demo"], &[]).succeeded().stdout;
    let ranked: Vec<f64> = shown.lines().filter_map(score_in).collect();
    assert!(ranked.len() >= 5, "{shown}");
    assert!(ranked.is_sorted_by(|a, b| a >= b), "{ranked:?}\n{shown}");
    assert!(shown.matches(['“', '"']).count() >= 5, "no quotes:\n{shown}");
    assert!(shown.contains("starscreen") && shown.contains("curl"), "no next commands:\n{shown}");
    assert!(shown.contains("offline"), "it does not say that no language model was at work:\n{shown}");
}

/// The score in a line of the ranking: its first number with one decimal.
fn score_in(line: &str) -> Option<f64> {
    let first = line.split_whitespace().next()?.trim_end_matches('.');
    first.parse::<u32>().ok()?;
    line.split_whitespace().skip(1).find_map(|word| {
        let (_, decimals) = word.split_once('.')?;
        if decimals.len() == 1 { word.parse().ok() } else { None }
    })
}
