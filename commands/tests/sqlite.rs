//! The contracts of the write side on the embedded store.

use starscreen_commands::contracts::Store;

starscreen_commands::contract_tests!(Store::sqlite());
