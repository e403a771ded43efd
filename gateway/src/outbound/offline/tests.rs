//! Whole jobs and whole resumes, one trade after another.

use starscreen_domain::{
    candidate::{Evaluation, locate_quote},
    job::Rubric,
    score::{Score, Total, weighted_total},
};

use super::{
    MODEL, draw_up, grade,
    trades::{TRADES, Trade},
};

fn total(rubric: &Rubric, evaluation: &Evaluation) -> u16 {
    let graded = rubric.categories.iter().zip(&evaluation.categories);
    let scores: Vec<_> = graded.filter_map(|(category, grade)| Some((category.importance, grade.score?))).collect();
    weighted_total(&scores).map_or(0, Total::tenths)
}

fn total_of(trade: &Trade, resume: &str) -> u16 {
    let rubric = draw_up(trade.title, trade.description);
    total(&rubric, &grade(&rubric, resume))
}

/// All words of the rubric's evidence, again and again, as a cheat would paste them.
fn stuffed(trade: &Trade) -> String {
    let rubric = draw_up(trade.title, trade.description);
    let words: Vec<String> =
        rubric.categories.iter().flat_map(|category| category.examples_of_evidence.clone()).collect();
    format!("Chris Sample\n{}\n", words.join(", ")).repeat(20)
}

#[test]
fn a_fitting_resume_ranks_far_above_one_of_another_trade() {
    for trade in TRADES {
        let fitting = total_of(trade, trade.fitting);
        for other in TRADES.iter().filter(|other| other.title != trade.title) {
            let stranger = total_of(trade, other.fitting);
            assert!(fitting > stranger + 200, "{}: {fitting} against {stranger} of {}", trade.title, other.title);
        }
        let near = total_of(trade, trade.near_miss);
        assert!(fitting > near + 50, "{}: {fitting} against {near}", trade.title);
    }
}

#[test]
fn a_fitting_resume_is_at_least_partly_shown_and_a_stranger_is_weak() {
    for trade in TRADES {
        let fitting = total_of(trade, trade.fitting);
        assert!(fitting >= 600, "{}: {fitting}", trade.title);
        for other in TRADES.iter().filter(|other| other.title != trade.title) {
            let stranger = total_of(trade, other.fitting);
            assert!(stranger <= 400, "{}: {stranger} of {}", trade.title, other.title);
        }
    }
}

#[test]
fn stuffing_and_a_pasted_job_do_not_beat_honest_work() {
    for trade in TRADES {
        let fitting = total_of(trade, trade.fitting);
        let stuffed = total_of(trade, &stuffed(trade));
        assert!(fitting > stuffed + 100, "{}: {fitting} against {stuffed} stuffed", trade.title);
        let pasted = total_of(trade, &format!("Chris Sample\n{}", trade.description));
        assert!(fitting > pasted, "{}: {fitting} against {pasted} pasted", trade.title);
    }
}

#[test]
fn a_resume_made_of_the_rubrics_words_is_a_list_even_in_sentences() {
    for trade in [&TRADES[0], &TRADES[1], &TRADES[5]] {
        let rubric = draw_up(trade.title, trade.description);
        let evidence = rubric.categories.iter().flat_map(|category| category.examples_of_evidence.clone());
        let claims: Vec<String> = evidence.map(|term| format!("- I have worked with {term} for years.")).collect();
        let resume = format!("Chris Sample\nExperience\n{}, Acme, 2010 - 2023\n{}", trade.title, claims.join("\n"));
        let (fitting, parroted) = (total_of(trade, trade.fitting), total_of(trade, &resume));
        assert!(fitting > parroted + 100, "{}: {fitting} against {parroted}", trade.title);
    }
}

#[test]
fn a_list_beside_other_work_earns_less_than_work_with_it() {
    let rubric = draw_up(TRADES[0].title, TRADES[0].description);
    let skills = |resume: &str| grade(&rubric, resume).categories[0].score.map(Score::points);
    let work = "Experience\nEngineer, Acme, 2015 - 2020\n- Wrote the payment service of the bank in Rust.\n";
    let told =
        format!("{work}- Kept its data in PostgreSQL and its queues in Kafka.\n- Shipped it with Docker by night.");
    let listed = format!("{work}Skills\nPostgreSQL, Kafka, Docker");
    assert!(skills(&told) > skills(&listed) && skills(&listed) > skills(work));
}

#[test]
fn repeating_a_list_earns_nothing() {
    let trade = &TRADES[0];
    let once = "Chris Sample\nSkills\nRust, PostgreSQL, Kafka, Docker\n";
    assert_eq!(total_of(trade, once), total_of(trade, &once.repeat(40)));
}

#[test]
fn a_term_in_work_earns_more_than_in_a_list() {
    let trade = &TRADES[0];
    let listed = "Chris Sample\nSkills\nRust, PostgreSQL\nExperience\nEngineer, Acme (2015–2020)\n- Looked after the office plants and the door.";
    let worked = "Chris Sample\nExperience\nEngineer, Acme (2015–2020)\n- Looked after services in Rust with data in PostgreSQL.";
    assert!(total_of(trade, worked) > total_of(trade, listed));
}

#[test]
fn every_quote_stands_in_the_text_word_for_word() {
    for trade in TRADES {
        let rubric = draw_up(trade.title, trade.description);
        let long = format!("{}\n{}", trade.fitting.replace('\n', " "), trade.fitting);
        for resume in [trade.fitting, trade.near_miss, &long, &stuffed(trade)] {
            let characters: Vec<char> = resume.chars().collect();
            for category in grade(&rubric, resume).categories {
                assert!(category.evidence.len() <= 3);
                for quote in category.evidence {
                    assert!(quote.quote.chars().count() <= 200, "{}", quote.quote);
                    assert_eq!(characters[quote.start..quote.end].iter().collect::<String>(), quote.quote);
                    assert_eq!(locate_quote(resume, &quote.quote).as_ref(), Some(&quote));
                }
            }
        }
    }
}

#[test]
fn an_evaluation_is_complete_and_says_who_made_it() {
    for trade in TRADES {
        let rubric = draw_up(trade.title, trade.description);
        for resume in [trade.fitting, trade.near_miss, "", "🙂", TRADES[2].fitting, &stuffed(trade)] {
            let evaluation = grade(&rubric, resume);
            assert!(evaluation.pros.len() >= 3 && evaluation.cons.len() >= 3, "{evaluation:?}");
            assert_eq!(evaluation.interview_questions.len(), 3);
            let mut questions = evaluation.interview_questions.clone();
            questions.dedup();
            assert_eq!(questions.len(), 3);
            assert_eq!(evaluation.summary.matches("\n\n").count(), 1);
            assert!(
                evaluation.summary.ends_with(&format!("offline lexical scorer ({MODEL}), which is no language model."))
            );
            let ids = |of: Vec<&String>| of.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(
                ids(evaluation.categories.iter().map(|grade| &grade.category_id).collect()),
                ids(rubric.categories.iter().map(|category| &category.category_id).collect())
            );
        }
    }
}

#[test]
fn nothing_found_is_no_evidence_and_names_what_was_looked_for() {
    let rubric = draw_up(TRADES[0].title, TRADES[0].description);
    let evaluation = grade(&rubric, "Chris Sample\nI like long walks by the sea.");
    let skills = &evaluation.categories[0];
    assert_eq!(skills.score.map(Score::points), Some(0));
    assert!(skills.reasoning.contains("not found") && skills.reasoning.contains("PostgreSQL"), "{}", skills.reasoning);
    assert!(skills.evidence.is_empty());
}

#[test]
fn the_same_texts_give_the_same_answer() {
    for trade in TRADES {
        let rubric = draw_up(trade.title, trade.description);
        assert_eq!(rubric, draw_up(trade.title, trade.description));
        assert_eq!(grade(&rubric, trade.fitting), grade(&rubric, trade.fitting));
    }
}

#[test]
fn odd_descriptions_still_give_a_valid_rubric() {
    let one_word = "forklift ".repeat(1_700);
    let one_run = "x".repeat(15_000);
    let long_list = (0..3_000).map(|n| format!("skill{n}")).collect::<Vec<_>>().join(", ");
    for description in [
        "Need cook.",
        "Cook needed",
        "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
        "..........",
        "          ",
        "We offer free lunch. We are a leading provider. Apply now!",
        "Benefits:\n- 401k\n- Dental",
        "- \n- \n- ",
        "Wir suchen eine Pflegefachkraft (m/w/d) mit 3 Jahren Erfahrung in der Intensivpflege.",
        "Nous recherchons un comptable avec 5 ans d'expérience et la maîtrise de SAP.",
        "Buscamos un cocinero con experiencia en cocina italiana.",
        "私たちは看護師を探しています。三年以上の経験。",
        "Requirements:",
        "a or b or c or d",
        "1234567890",
        "PhD PhD PhD",
        "5 years 5 years",
        &one_word,
        &one_run,
        &long_list,
    ] {
        for title in ["Cook", "🙂", "Senior (m/w/d)"] {
            let rubric = draw_up(title, description);
            assert_eq!(rubric.validate(), Ok(()), "{title}: {}", description.chars().take(60).collect::<String>());
            let evaluation = grade(&rubric, TRADES[0].fitting);
            for (category, grade) in rubric.categories.iter().zip(&evaluation.categories) {
                assert_eq!(grade.score.is_none(), category.examples_of_evidence.is_empty(), "{category:?}");
            }
        }
    }
}

#[test]
fn offers_and_praise_are_no_requirements() {
    for trade in TRADES {
        let rubric = draw_up(trade.title, trade.description);
        let all: Vec<String> = rubric
            .categories
            .iter()
            .flat_map(|category| &category.examples_of_evidence)
            .map(|text| text.to_lowercase())
            .collect();
        for word in
            ["dental", "401", "parking", "pension", "equal", "discount", "salary", "passionate", "leading", "bonus"]
        {
            assert!(!all.iter().any(|term| term.contains(word)), "{}: {word} in {all:?}", trade.title);
        }
    }
}

#[test]
fn a_section_of_offers_asks_for_nothing_whatever_it_names() {
    let rubric =
        draw_up("Clerk", "Perks\n- Zumba classes\n- Certified yoga trainer\n- Friendly dogs\nRequirements\n- SAP");
    let all = format!("{:?}", rubric.categories).to_lowercase();
    assert!(all.contains("sap"));
    for word in ["zumba", "yoga", "friendly", "dogs"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
}

#[test]
fn a_description_of_offers_alone_is_still_read() {
    let rubric = draw_up("Night shift", "We offer a competitive salary for welders. Apply now!");
    assert!(rubric.categories[0].examples_of_evidence.contains(&"welders".to_owned()), "{:?}", rubric.categories[0]);
}

#[test]
fn without_duties_the_skills_are_looked_for_in_their_place() {
    let rubric = draw_up("Clerk", "Requirements:\n- SAP\n- Excel");
    let duties = rubric.categories.iter().find(|category| category.category_id == "responsibilities");
    assert_eq!(
        duties.map(|duties| duties.examples_of_evidence.clone()),
        Some(vec!["SAP".to_owned(), "Excel".to_owned()])
    );
}

#[test]
fn without_a_number_of_years_dated_work_that_fits_is_enough() {
    let rubric = draw_up("Electrician", "Fault finding and wiring of lighting circuits.");
    let evaluation = grade(&rubric, TRADES[7].fitting);
    let years = evaluation.categories.iter().find(|category| category.category_id == "years_of_experience");
    assert!(years.and_then(|years| years.score).is_some_and(|score| score.points() > 75), "{years:?}");
}

#[test]
fn the_rubric_carries_years_degrees_and_seniority() {
    let engineer = draw_up(TRADES[0].title, TRADES[0].description);
    assert_eq!(engineer.desired_background_patterns.minimum_years, Some(5));
    assert_eq!(engineer.seniority_level, "Senior");
    assert_eq!(engineer.education_preferences.degrees, ["Bachelor's degree"]);
    assert_eq!(engineer.education_preferences.fields, ["computer science"]);
    assert!(engineer.core_responsibilities.len() >= 3);
}

#[test]
fn german_and_french_words_are_found_too() {
    for (title, description, resume) in [
        (
            "Pflegefachkraft",
            "Ihre Aufgaben:\n- Grundpflege und Wundversorgung\nIhr Profil:\n- Examen als Pflegefachkraft\n- 3 Jahre Erfahrung in der Intensivpflege",
            "Anna Weber\nBerufserfahrung\nPflegefachkraft, Klinik Nord, 2016 – 2022\n- Wundversorgung und Grundpflege auf der Intensivpflege",
        ),
        (
            "Comptable",
            "Vos missions :\n- Tenue de la comptabilité générale\nVotre profil :\n- Maîtrise de SAP\n- 5 ans d'expérience",
            "Luc Petit\nExpérience professionnelle\nComptable, Durand SA, 2015 – 2021\n- Tenue de la comptabilité générale sous SAP",
        ),
    ] {
        let rubric = draw_up(title, description);
        let fitting = total(&rubric, &grade(&rubric, resume));
        assert!(fitting > 600, "{title}: {fitting} {rubric:#?}");
        assert!(fitting > total(&rubric, &grade(&rubric, TRADES[0].fitting)) + 300);
    }
}

#[test]
fn the_largest_texts_are_graded_in_linear_time() {
    let trade = &TRADES[0];
    let rubric = draw_up(trade.title, &trade.description.repeat(1 + 15_000 / trade.description.len()));
    for resume in [trade.fitting.repeat(1 + 100_000 / trade.fitting.len()), "Rust ".repeat(20_000), "a".repeat(100_000)]
    {
        assert_eq!(grade(&rubric, &resume).categories.len(), rubric.categories.len());
    }
}
