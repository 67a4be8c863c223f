/*
 * The numbered SQL files of this folder, built in.  Forward only; a merged file is never edited.
 * PRAGMA user_version of a database is the number of the last one applied.
 */
#ifndef MIGRATIONS_H
#define MIGRATIONS_H

struct migration {
    int number; /* from 1, without gaps */
    const char *name;
    const char *sql;
};

extern const struct migration MIGRATIONS[];
extern const int MIGRATION_COUNT;

#endif
