//! Heads of resumes as people and PDF readers write them.

use starscreen_domain::candidate::Contact;

use super::find;

fn full_name(contact: &Contact) -> String {
    [contact.first_name.as_deref(), contact.last_name.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_usual_head_gives_every_field() {
    let contact = find(
        "Chris Curtis\nperson0@example.com | +1-555-0100 | Port Amandastad | https://www.linkedin.com/in/example-0 | \
         https://github.com/\nexample-0\nSkills\nAWS, Node.js, ASP.NET",
    );
    assert_eq!(full_name(&contact), "Chris Curtis");
    assert_eq!(contact.email.as_deref(), Some("person0@example.com"));
    assert_eq!(contact.phone.as_deref(), Some("+1-555-0100"));
    assert_eq!(contact.location.as_deref(), Some("Port Amandastad"));
    assert_eq!(contact.linkedin_url.as_deref(), Some("https://www.linkedin.com/in/example-0"));
    assert_eq!(contact.github_url.as_deref(), Some("https://github.com/example-0"));
    assert_eq!((contact.portfolio_url, contact.other_urls), (None, vec![]));
}

#[test]
fn headings_and_titles_are_no_names() {
    for (text, name) in [
        ("CURRICULUM VITAE\n\nMaria del Carmen Ruiz\nmaria@example.es", "Maria del Carmen Ruiz"),
        ("Resume\nSoftware Engineer\nTom O’Neil\ntom@example.com", "Tom O’Neil"),
        ("## Personal Information\nName: Azaria Watson\nEmail: a@example.com", "Azaria Watson"),
        ("Dr. Anne-Marie Dupont, PhD\nanne@example.fr", "Anne-Marie Dupont"),
        ("Joan Reyes, RN\njoan@example.com", "Joan Reyes"),
        ("Artur Rymarz  person5@example.com  +1-555-0105", "Artur Rymarz"),
        ("संमानित आनन्द पवार\nperson7@example.com", "संमानित आनन्द पवार"),
        ("Konstanty Juśkiewicz\nk@example.pl", "Konstanty Juśkiewicz"),
        ("Curriculum Vitae\njohn@example.com\nNew York, NY", ""),
        ("Senior Software Engineer\nSkills\nRust", ""),
        ("Experience\nEducation\nSkills", ""),
        ("संमा(cid:2)नित पवार\nx@example.com", ""),
    ] {
        assert_eq!(full_name(&find(text)), name, "{text}");
    }
}

#[test]
fn east_asian_names_put_the_family_first() {
    let contact = find("中島 花子\nperson6@example.com | +1-555-0106 | 川崎市川崎区");
    assert_eq!((contact.last_name.as_deref(), contact.first_name.as_deref()), (Some("中島"), Some("花子")));
    assert_eq!(contact.location.as_deref(), Some("川崎市川崎区"));
}

#[test]
fn phones_of_many_countries_are_found() {
    for phone in [
        "+49 30 1234567",
        "+44 (0)20 7946 0958",
        "(415) 555-2019",
        "415-555-2671",
        "030 12345678",
        "+91-98765-43210",
        "06 12 34 56 78",
        "0044 20 7946 0958",
    ] {
        assert_eq!(find(&format!("Ann Lee\nann@example.com | {phone} | Leeds")).phone.as_deref(), Some(phone));
    }
    assert_eq!(find("Ann Lee\nTel: 7946 0958").phone.as_deref(), Some("7946 0958"));
}

#[test]
fn dates_years_and_numbers_are_no_phones() {
    for text in [
        "Ann Lee\nCook (2012–2015)",
        "Ann Lee\n2012 - 2015 2016",
        "Ann Lee\n01/2019 - 03/2021",
        "Ann Lee\n12.05.1990",
        "Ann Lee\nSold 1 200 000 units",
        "Ann Lee\n05.2019 - 07.2020",
        "Ann Lee\nISO 9001 27001",
        "Ann Lee\nhttps://example.com/p/4155552671",
        "Ann Lee\nph: 2019-2021",
        "Ann Lee\n05 2019 06 2020",
    ] {
        assert_eq!(find(text).phone, None, "{text}");
    }
}

#[test]
fn places_are_found_by_label_state_country_or_neighbours() {
    for (text, place) in [
        ("Ann Lee\nLocation: Leeds\nann@example.com", Some("Leeds")),
        ("Ann Lee\nAddress: 12 Oak Street, Springfield, IL 62704\nann@example.com", Some("Springfield, IL")),
        ("Ann Lee\nAustin, TX\nann@example.com", Some("Austin, TX")),
        ("Ann Lee\nBoston, MA\nann@example.com", Some("Boston, MA")),
        ("Ann Lee\nAdresse: Hauptstraße 5, 50667 Köln", Some("Köln")),
        ("Ann Lee\nLyon, France\nann@example.com", Some("Lyon, France")),
        ("Ann Lee\nann@example.com • Bad Langensalza • +49 30 1234567", Some("Bad Langensalza")),
        ("Ann Lee\nann@example.com | Software Engineer | Open to work", None),
        ("Ann Lee\nann@example.com\nSkills\nRust, Go\nCook, Acme", None),
    ] {
        assert_eq!(find(text).location.as_deref(), place, "{text}");
    }
}

#[test]
fn addresses_with_and_without_scheme_are_one() {
    let contact = find(
        "Ann Lee\nann@example.com | linkedin.com/in/annlee | github.com/annlee | annlee.dev\n\
         https://www.linkedin.com/in/annlee/ and http://github.com/annlee\nProjects\nhttps://github.com/annlee/parser\n\
         Talk: https://youtube.com/watch?v=1 (https://annlee.dev)",
    );
    assert_eq!(contact.linkedin_url.as_deref(), Some("https://linkedin.com/in/annlee"));
    assert_eq!(contact.github_url.as_deref(), Some("https://github.com/annlee"));
    assert_eq!(contact.portfolio_url.as_deref(), Some("https://annlee.dev"));
    assert_eq!(contact.other_urls, ["https://github.com/annlee/parser", "https://youtube.com/watch?v=1"]);
}

#[test]
fn names_of_products_are_no_addresses() {
    let contact = find("Ann Lee\nSkills\nNode.js, ASP.NET, Socket.io, vue.js, and/or, e.g. draw.io");
    assert_eq!((contact.portfolio_url, contact.other_urls, contact.email), (None, vec![], None));
}

#[test]
fn odd_texts_find_nothing_and_break_nothing() {
    for text in [
        "",
        "@",
        "+",
        "((((",
        "🙂 🙂",
        "http://",
        "a@b",
        ".@.",
        "+++++++++",
        "https://github.com/",
        "\u{a0}\u{a0}",
        "Name:",
        "é@é.é",
    ] {
        assert_eq!(find(text), Contact::default(), "{text}");
    }
}
