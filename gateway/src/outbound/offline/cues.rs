//! Headings and turns of phrase by which job descriptions say what a line is.
//!
//! English first, with the commonest of German, French and Spanish. Plain words, parted by `|`.

/// Offers, the company and the way to apply.
pub const BOILERPLATE_HEADINGS: &str = "
what we offer|we offer|benefits|perks|about us|about the company|our company|who we are|equal opportunity|
how to apply|to apply|application|compensation|salary|pay|why join|why work|why us|our values|our culture|
our mission|company overview|contact|eeo|disclaimer|wir bieten|was wir bieten|das bieten wir|uber uns|nous offrons|
avantages|a propos|ofrecemos|beneficios|sobre nosotros|what you get|what you will get|whats in it for you|schedule|
job type|location|work location|working hours|next steps
";

/// What is welcome.
pub const NICE_HEADINGS: &str = "
nice to have|nice to haves|preferred|bonus|desirable|desired|a plus|plus|pluses|optional|good to have|
would be great|ideally|wunschenswert|von vorteil|atouts|deseable|advantageous|additional skills
";

/// What will be done.
pub const DUTY_HEADINGS: &str = "
responsibilities|duties|what you will do|what youll do|what you'll do|the role|your role|role overview|your tasks|
tasks|job duties|day to day|a typical day|key responsibilities|essential functions|accountabilities|aufgaben|
ihre aufgaben|deine aufgaben|missions|vos missions|funciones|responsabilidades|responsabilites|in this role|you will
";

/// What the job is about.
pub const ABOUT_HEADINGS: &str = "
summary|job summary|overview|about the role|about the job|job description|description|about this role|
about the position|position summary|job title|title|stellenbeschreibung|job purpose|purpose
";

/// What has to be brought along.
pub const MUST_HEADINGS: &str = "
requirements|required|must have|must haves|must-haves|qualifications|minimum|skills|what you bring|what you need|
what you'll need|what youll need|what we are looking for|what we're looking for|who you are|about you|your profile|
profile|experience|education|certifications|certificates|licences|licenses|essential|you have|we are looking for|
anforderungen|ihr profil|dein profil|profil|das bringen|requisitos|competences|formation|your background|knowledge|
key skills|technical skills|tools|tech stack|technologies|languages|competencies|person specification|mandatory|
what we require|ideal candidate|the ideal candidate|job requirements
";

/// Sentences with these ask for nothing.
pub const BOILERPLATE: &str = "
we offer|equal opportunity|equal employment|regardless of|reasonable accommodation|401k|401(k)|paid time off|
health insurance|dental|competitive salary|competitive pay|salary range|pension scheme|please apply|apply now|
apply today|send your cv|send your resume|submit your|apply online|our mission is|we are proud|leading provider|
founded in|our culture|our values|join our team|join us|background check|sexual orientation|national origin|
we celebrate|diversity and inclusion|protected veteran|drug-free|visit our website|free lunch|gym membership|
free parking|holiday allowance|stock options|about our company|click here|per hour|per annum|wir bieten|
nous offrons|ofrecemos|great place to work|family-owned|state-of-the-art office|employee discount|company pension|
all qualified applicants|sign-on bonus|annual bonus
";

/// Sentences with these wish for something.
pub const NICE: &str = "
nice to have|nice-to-have|preferred|a plus|is an advantage|advantageous|bonus|desirable|would be great|ideally|
would be beneficial|beneficial|an asset|good to have|von vorteil|wunschenswert|un atout|deseable|preferably|
not essential|welcome but
";

/// Sentences with these ask for something.
pub const MUST: &str = "
must|required|require|requires|essential|you have|you bring|you need|experience|knowledge|proficien|degree|familiar|
skilled|skills|ability to|able to|fluent|certified|certificat|licence|license|looking for|seeking|need a|needs a|
we need|minimum|at least|expertise|understanding of|erfahrung|kenntnisse|experiencia|diploma|mandatory|
background in|qualified|the ideal candidate|successful candidate
";

/// Sentences with these tell what will be done.
pub const DUTY: &str = "
you will|you'll|youll|responsible for|duties|responsibilities include|the role involves|your job is|
will be responsible|in this role|day to day|tasks include|job involves|work involves|will include|you are going to
";

/// Sentences with these tell about the company.
pub const ABOUT: &str = "
we are a|we are an|we are the|our company|our customers|our office|our team is|is a leading|has been
";

/// Whether one of `cues` stands in `text`.
pub fn says(text: &str, cues: &'static str) -> bool {
    each(cues).any(|cue| text.contains(cue))
}

pub fn each(cues: &'static str) -> impl Iterator<Item = &'static str> {
    cues.split('|').map(str::trim)
}
