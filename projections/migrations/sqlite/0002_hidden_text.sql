-- What was hidden in a resume's file, for the person who looks.
ALTER TABLE candidate_status ADD COLUMN hidden_text TEXT;
ALTER TABLE candidate_status__next ADD COLUMN hidden_text TEXT;
