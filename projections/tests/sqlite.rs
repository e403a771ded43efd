//! The contracts of the read side on the embedded store.

use starscreen_projections::contracts::Store;

starscreen_projections::contract_tests!(Store::sqlite());
