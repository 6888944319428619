-- Profiles: under a pseudonym, the cities seen by day, interests, and what the person corrected;
-- and which interests enough profiles share. Adds tables only.

CREATE TABLE profiles (
    pseudonym TEXT NOT NULL,
    last_day INTEGER NOT NULL,
    PRIMARY KEY (pseudonym)
);

CREATE INDEX profiles_last_day ON profiles (last_day);

CREATE TABLE profile_cities (
    pseudonym TEXT NOT NULL,
    country TEXT NOT NULL,
    city TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (pseudonym, country, city, day)
);

CREATE INDEX profile_cities_day ON profile_cities (day);

CREATE TABLE profile_interests (
    pseudonym TEXT NOT NULL,
    interest TEXT NOT NULL,
    weight REAL NOT NULL,
    last_day INTEGER NOT NULL,
    PRIMARY KEY (pseudonym, interest)
);

CREATE INDEX profile_interests_last_day ON profile_interests (last_day);

CREATE TABLE profile_corrections (
    pseudonym TEXT NOT NULL,
    interest TEXT NOT NULL,
    put_in INTEGER NOT NULL,
    PRIMARY KEY (pseudonym, interest)
);

CREATE TABLE profile_affinities (
    interest TEXT NOT NULL,
    other TEXT NOT NULL,
    similarity REAL NOT NULL,
    PRIMARY KEY (interest, other)
);
