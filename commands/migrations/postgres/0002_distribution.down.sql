DROP TABLE distribution;
