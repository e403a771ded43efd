//! Words that say nothing about a trade: they separate terms and are never looked for in a resume.
//!
//! None of these lists names a skill. All words are plain (lower case, without accents).

use std::{collections::HashSet, sync::LazyLock};

use super::{stem::stem, words::Word};

/// Function words of English, and the commonest of German, French and Spanish.
const FUNCTION: &str = "
a about above after again against all also although am among an and any are around as at away back be because been
before being below between both but by can cannot could d did do does doing don down due during each either else etc
even ever every few for from further get had has have having he her here hers him his how i if in into is it its just
let like ll m many may me might more most much must my near need needs neither no nor not now of off often on once one
only onto or other others our out over own per plus please rather re s same shall she should since so some such t than
that the their them then there these they this those though through throughout thus to together too toward towards two
under until up upon us use used using ve very via was way we well were what when where whether which while who whom
whose why will with within without would yes yet you your yours three four five six seven eight nine ten eg ie e.g i.e
n der die das den dem des ein eine einen einem einer und oder mit von fur im in am an auf aus bei bis durch nach uber
unter vor zu zum zur sich sie wir ihr ihre ihren ihrem uns unser unsere sind ist werden wird haben hat sowie als auch
nicht sehr mehr dich dein deine du gerne le la les un une du de des et ou avec pour par sur dans en au aux vous nous
votre vos notre nos est sont qui que ce cette ces se sa son ses l d qu el los las una unos unas y o con para por del
al su sus es son que como se lo nuestro nuestra
";

/// Words of job advertisements that frame a requirement without being one.
const FRAME: &str = "
ability able abilities aptitude advanced advantage advantageous appropriate area areas aspect aspects background based
basic basics beneficial bonus broad candidate candidates capability capable capacity clear closely comfortable command
comparable competence competency competencies competent complete completed confident current currently daily day days
deep demonstrable demonstrate demonstrated desirable desired different diverse duties duty eager effective efficient
employee employer enough equivalent essential excellent exceptional existing experience experiences experienced expert
expertise exposure extensive familiar familiarity fast field fields first following full fully general good great
growing busy hands high highly hold holds ideal ideally important include includes included including individual
interest interested job junior key know knowledge large latest least less level levels looking main major mandatory
mid minimum modern month months multiple new nice numerous offer opportunity outstanding part passion passionate
perfect person position possess practical practices preferable preferred previous prior proficiency proficient proven
qualification qualifications qualified quality range regular related relevant required requirement requirements
require requires responsibilities responsibility responsible role roles safe secondary seek seeking seeks senior
several similar simple skill skilled skills small solid someone sound specific spend spends spent standard strong
style successful suitable superb superior sure talented task tasks team teams thorough time top track type types
understand understanding useful valid value varied variety various want week weeks wide willing willingness work
worked worker workers working works year years yrs youll youre weve were world class environment environments setting
settings ready hiring join company companies business organisation organization fluent fluency native active
recognised recognized proud equally special kenntnisse erfahrung erfahrungen gute sehr aufgaben profil sicherer umgang
stelle wunschenswert vorteil jahre experience connaissance connaissances maitrise ans annees poste profil experiencia
conocimientos anos puesto
";

/// Verbs that open a duty and say little without their object.
const OPENING_VERBS: &str = "
achieve adhere aid apply assist assure attend be become bring build carry collaborate complete comply conduct
contribute coordinate create define deliver demonstrate engage ensure execute fulfil fulfill give handle have help
identify implement include involve keep learn liaise maintain make manage meet monitor oversee own participate perform
provide respond run serve show support take undertake uphold utilise utilize
";

/// Ways of working that any advertisement asks for and any resume claims.
const CONDUCT: &str = "
accountability accountable adaptability adaptable analytical attention attentive attitude calm collaborative
communicate communication communicator communicative conscientious cooperation creative creativity dedicated
dedication dependable detail details deadlines deadline dynamic empathetic empathy energetic enthusiasm enthusiastic
ethic flexibility flexible friendly hardworking honest honesty independence independently initiative innovative
integrity interpersonal listening mindset motivated motivation multitask multitasking organised organisational
organizational organized outgoing patience personable pressure proactive proactively problem problems professionalism
punctual punctuality reliability reliable resilience resilient responsive self solving starter teamwork thinker
thinking verbal written oral teamfahigkeit kommunikationsstark zuverlassigkeit teamplayer player critical prioritise
prioritize prioritization
";

/// Adverbs are dropped by their ending; these are none.
const NOT_ADVERBS: &[&str] = &["assembly", "supply", "family", "anomaly", "reply", "early", "elderly", "monopoly"];

static FUNCTIONS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| FUNCTION.split_whitespace().collect());
static FRAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| FRAME.split_whitespace().collect());
static VERBS: LazyLock<HashSet<String>> = LazyLock::new(|| OPENING_VERBS.split_whitespace().map(stem).collect());
static CONDUCTS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| CONDUCT.split_whitespace().collect());

/// A single lower-case letter is what an apostrophe left over; a single capital may be a name (`R`, `C`).
pub fn is_function(word: &Word<'_>) -> bool {
    match word.text {
        "A" | "I" => true,
        letter if letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_uppercase()) => false,
        "IT" | "US" => false, // a trade and a country when in capitals
        _ => FUNCTIONS.contains(word.plain.as_str()) || (word.plain.len() == 1 && !word.is_number()),
    }
}

pub fn is_frame(plain: &str) -> bool {
    let adverb = plain.len() > 4 && plain.ends_with("ly") && !NOT_ADVERBS.contains(&plain);
    FRAMES.contains(plain) || adverb
}

pub fn is_opening_verb(stem: &str) -> bool {
    VERBS.contains(stem)
}

pub fn is_conduct(plain: &str) -> bool {
    CONDUCTS.contains(plain)
}
