-- What a setting last said of the budget that it began, in JSON; null where none did.
ALTER TABLE budgets ADD COLUMN setting TEXT;
