//! Budgets that cannot be overspent: holds over sets of scopes, settled into a durable ledger.
