//! Invented jobs of eight trades, each with a resume that fits and one from next door.

pub struct Trade {
    pub title: &'static str,
    pub description: &'static str,
    pub fitting: &'static str,
    /// The same field, but little of what is asked for.
    pub near_miss: &'static str,
}

pub const TRADES: &[Trade] = &[
    Trade {
        title: "Senior Rust Backend Engineer",
        description: "About us\nWe are a leading provider of payment software and passionate about what we do.\n\n\
            Responsibilities:\n- Design and run event-driven services\n- Review pull requests and mentor colleagues\n- Keep on-call rotations calm\n\n\
            Requirements:\n- 5+ years of backend development\n- Strong knowledge of Rust and PostgreSQL\n- Experience with Kafka or NATS\n\
            - Docker, Kubernetes and CI/CD\n- Bachelor's degree in computer science or a related field\n- Good written communication\n\n\
            Nice to have:\n- C++ or Go\n- Event sourcing\n\nWhat we offer:\n- 401k, dental and free parking\n- Annual bonus",
        fitting: "Maya Okafor\nmaya@example.com\n\nExperience\nSenior Backend Engineer, Ledgerworks, 2018 – present\n\
            - Designed event-driven services in Rust that settle two million payments a day.\n\
            - Moved reporting from MySQL to PostgreSQL and cut query times by half.\n\
            - Ran Kafka clusters and the on-call rotation of four engineers.\n\
            Software Engineer, Portline, 2014 – 2018\n- Wrote backend services in C++ and shipped them with Docker on Kubernetes.\n\
            - Reviewed pull requests, mentored two colleagues and set up CI/CD for the team.\n\
            Education\nBSc Computer Science, University of Leeds, 2014 (last update 2023)\nSkills\nRust, C++, PostgreSQL, Kafka, event sourcing",
        near_miss: "Tom Frost\nExperience\nFrontend Developer, Pixelhaus, 2020 – 2023\n- Built shop pages with React and TypeScript.\n\
            - Reviewed designs with the marketing team.\nEducation\nBA Graphic Design, 2019\nSkills\nReact, CSS, Figma, Docker",
    },
    Trade {
        title: "Registered Nurse - Emergency Department",
        description: "St. Mary is looking for a registered nurse for its emergency department. You will carry out patient triage, \
            administer medication and record vital signs. You will work closely with physicians during trauma care. \
            At least two years of experience in acute care are required. An RN license and BLS certification are required; ACLS is a plus. \
            You must be able to start IV lines and know Epic charting. Bilingual Spanish preferred. \
            We offer a pension scheme, free parking and an employee discount. We are an equal opportunity employer.",
        fitting: "Joan Reyes, RN\nRegistered Nurse, Mercy Hospital Emergency Department (2017–2022)\n\
            - Performed triage of up to 60 patients a shift and started IV lines.\n- Administered medications and recorded vital signs in Epic.\n\
            - Assisted physicians with trauma care.\nStaff Nurse, Hill Clinic (2015–2017)\n- Gave acute care to adult patients.\n\
            Licenses\nRN license, State of Ohio\nBLS certification\nACLS certification\nEducation\nBachelor of Science in Nursing, 2015",
        near_miss: "Pat Moore\nCare Assistant, Sunny Home (2020–2022)\n- Helped residents with meals, washing and walks.\n\
            - Recorded weights of residents.\nEducation\nHigh school diploma, 2018",
    },
    Trade {
        title: "Warehouse Operative",
        description: "Job description\nDuties:\n* Pick and pack orders with handheld scanners\n* Load and unload trailers\n* Cycle counts and stock control\n\
            Skills and experience:\n* Forklift licence (counterbalance and reach)\n* 1 year of warehouse experience\n* Manual handling\n\
            * Knowledge of a WMS such as SAP EWM or Manhattan\n* Reliable and punctual\nBenefits: staff discount, free parking, pension",
        fitting: "Lee Carter\nWork history\nWarehouse Operative, BoxCo, 03/2019 - 11/2022\n- Picked and packed 180 orders a day using handheld scanners.\n\
            - Loaded and unloaded trailers with a reach truck.\n- Carried out cycle counts and stock control in SAP EWM.\n\
            Certificates\nForklift licence: counterbalance and reach (2018)\nManual handling certificate\nI am reliable and punctual in every shift.",
        near_miss: "Kim Ash\nWork history\nDelivery Rider, Foodly, 2020 - 2022\n- Delivered meals by bike across the city.\n\
            - Handled cash and complaints.\nSkills\nDriving, navigation, punctual",
    },
    Trade {
        title: "Accountant",
        description: "We need an accountant for our growing family of shops.\n\nWhat you'll do\n- Month-end closing and bank reconciliation\n- VAT returns\n\
            - Accounts payable and receivable\n\nWhat you bring\n- Bachelor's degree in accounting or finance\n- 3-5 years of experience in bookkeeping\n\
            - Double-entry bookkeeping and IFRS\n- Advanced Excel and DATEV or Xero\n- Attention to detail\n\nPreferred\n- CPA or ACCA\n- Payroll",
        fitting: "Nora Lindqvist\nExperience\nAccountant, Brandt Retail, Jan 2018 - Mar 2023\n- Prepared month-end closing and bank reconciliations for nine shops.\n\
            - Filed VAT returns and reports under IFRS.\n- Kept double-entry books in Xero and built forecasts in Excel.\n\
            Bookkeeper, Holm & Co, 2015 - 2018\n- Ran accounts payable and receivable, and payroll for 30 people.\n\
            Education\nBSc Accounting, Lund, 2015\nCertificates\nACCA",
        near_miss: "Ben Wolf\nExperience\nOffice Clerk, City Council, 2019 - 2022\n- Sorted mail, answered calls and booked rooms.\n- Kept lists in Excel.\n\
            Education\nBA History, 2018",
    },
    Trade {
        title: "Mathematics Teacher",
        description: "Riverside School seeks a mathematics teacher for ages 11 to 16. The successful candidate plans lessons, marks homework and prepares \
            pupils for GCSE exams. Essential: qualified teacher status (QTS), a degree in mathematics, classroom management and safeguarding knowledge. \
            Desirable: experience with special educational needs and running a chess club. Competitive salary and a pension scheme.",
        fitting: "Amir Haddad\nTeaching experience\nMathematics Teacher, Oak Academy, 2016 - 2022\n- Planned lessons for pupils aged 11 to 16 and marked homework weekly.\n\
            - Prepared 90 pupils for GCSE exams; results rose by a grade.\n- Led classroom management training and safeguarding reviews.\n\
            - Taught pupils with special educational needs and started a chess club.\nQualifications\nQualified Teacher Status (QTS), 2016\n\
            BSc Mathematics, University of York, 2015",
        near_miss: "Ola Berg\nExperience\nSports Coach, Town Club, 2018 - 2021\n- Trained teams of children and organised tournaments.\nEducation\nBA Sport, 2017",
    },
    Trade {
        title: "Sous Chef",
        description: "Sous chef wanted for a busy Italian kitchen.\n\nYou have:\n• Three years' experience in Italian cuisine\n• Menu planning and food costing\n\
            • HACCP and food hygiene certificate\n• Pasta making and butchery\n• Calm under pressure\n\nYou will:\n• Lead a brigade of eight\n• Order stock from suppliers\n\
            \nNice to have: pastry, wine pairing\n\nPerks: free meals, gym membership",
        fitting: "Gina Russo\nExperience\nSous Chef, Trattoria Blu, 2017 to 2022\n- Led a brigade of ten in an Italian kitchen and trained commis.\n\
            - Planned seasonal menus and did the food costing.\n- Made fresh pasta daily and did butchery of whole lambs.\n- Ordered stock from thirty suppliers.\n\
            Commis, Hotel Mare, 2014 to 2017\n- Worked the pastry section of an Italian cuisine restaurant.\nCertificates\nHACCP level 3, food hygiene certificate",
        near_miss: "Sam Poe\nExperience\nBarista, Bean Bar, 2019 to 2021\n- Made coffee and served cakes in a busy cafe.\n- Cleaned machines and took stock of cups.",
    },
    Trade {
        title: "B2B Sales Executive",
        description: "Your mission: win new customers for our HR software.\nRequirements\n1. Two or more years in B2B sales\n2. Cold calling and lead generation\n\
            3. Salesforce or HubSpot\n4. Contract negotiation\n5. Fluent English and German\nResponsibilities\n1. Build a pipeline and forecast revenue\n\
            2. Give product demos to HR managers\nWhat we offer\n1. Uncapped commission\n2. Company car",
        fitting: "Jonas Keller\nExperience\nSales Executive, Softlane, 2019–2023\n- Won 40 new customers in B2B sales of HR software.\n\
            - Generated leads by cold calling and built a pipeline in Salesforce.\n- Gave product demos to HR managers and negotiated contracts.\n\
            - Forecast revenue for the German region.\nLanguages\nGerman (native), English (fluent)",
        near_miss: "Mia Stone\nExperience\nShop Assistant, Shoe World, 2019–2022\n- Advised walk-in customers and worked the till.\n- Decorated windows.\nLanguages\nEnglish",
    },
    Trade {
        title: "Electrician",
        description: "We are seeking a qualified electrician with an NVQ Level 3 and an 18th Edition certificate. The role involves fault finding, \
            installation of lighting and power circuits, and testing and inspection of distribution boards. A full driving licence is required. \
            Experience in commercial buildings is preferred. Knowledge of PLC controls would be beneficial.",
        fitting: "Owen Price\nElectrician, Voltco Ltd (2015–2021)\n- Installed lighting and power circuits in commercial buildings.\n\
            - Did fault finding, testing and inspection of distribution boards.\n- Programmed simple PLC controls for pumps.\n\
            Qualifications\nNVQ Level 3 Electrical Installation\n18th Edition certificate\nFull driving licence",
        near_miss: "Rob Dean\nPainter, Brightwall (2016–2021)\n- Painted homes and offices and hung wallpaper.\n- Drove the van.\nQualifications\nCity and Guilds painting",
    },
];
