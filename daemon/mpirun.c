#include "daemon/mpirun.h"

#include "daemon/ask.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stands, by its address, for the attempt's folder in the lists below. */
static const char SCRATCH[] = "{scratch}";

/*
 * pml and btl are named because trying the others out takes 200 ms of the 345 ms that MPI_Init
 * takes otherwise; session folder, segments and windows go to the private folder.
 */
static const char *const WORDS_4[] = {
    "--oversubscribe",
    "--bind-to",
    "none",
    "--mca",
    "pml",
    "ob1",
    "--mca",
    "btl",
    "self,vader",
    "--mca",
    "orte_tmpdir_base",
    SCRATCH,
    "--mca",
    "btl_vader_backing_directory",
    SCRATCH,
    "--mca",
    "osc_sm_backing_directory",
    SCRATCH,
    "--mca",
    "shmem_mmap_backing_file_base_dir",
    SCRATCH,
};

/* The launcher is PRRTE, with parameters of its own.  Ranks reach it over TCP: by default on an
 * address that other hosts reach too. */
static const char *const WORDS_5[] = {
    "--map-by",    ":OVERSUBSCRIBE", "--bind-to",
    "none",        "--prtemca",      "prte_tmpdir_base",
    SCRATCH,       "--pmixmca",      "ptl_base_if_include",
    "127.0.0.0/8", "--mca",          "pml",
    "ob1",         "--mca",          "btl",
    "self,sm",     "--mca",          "btl_sm_backing_directory",
    SCRATCH,       "--mca",          "osc_sm_backing_directory",
    SCRATCH,       "--mca",          "shmem_mmap_backing_file_base_dir",
    SCRATCH,
};

struct dialect {
    int from_major;
    const char *const *words;
    size_t count;
};

/* Newest first. */
static const struct dialect DIALECTS[] = {
    {5, WORDS_5, sizeof WORDS_5 / sizeof WORDS_5[0]},
    {4, WORDS_4, sizeof WORDS_4 / sizeof WORDS_4[0]},
};

static const struct dialect *dialect_of(int major)
{
    for (size_t i = 0; i < sizeof DIALECTS / sizeof DIALECTS[0]; i++) {
        if (major >= DIALECTS[i].from_major) {
            return &DIALECTS[i];
        }
    }
    return NULL;
}

int mpirun_major(const char *text)
{
    static const char NAME[] = "(Open MPI) ";
    const char *found = strstr(text, NAME);
    long major = found == NULL ? 0 : strtol(found + sizeof NAME - 1, NULL, 10);
    return major > 0 && major < 1000 ? (int)major : 0;
}

enum cam_code mpirun_examine(const char *path, struct mpirun *out, struct cam_err *err)
{
    char text[512] = "";
    int status = 0;
    const char *const argv[] = {path, "--version", NULL};
    enum cam_code rc = cam_path(out->path, err, "%s", path);
    if (rc == CAM_OK) {
        rc = ask_program(&(struct ask){.argv = argv}, text, sizeof text, &status, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    out->major = mpirun_major(text);
    if (dialect_of(out->major) == NULL) {
        text[strcspn(text, "\n")] = '\0';
        return cam_fail(err, CAM_UNSUPPORTED,
                        "%s --version says '%.100s'; Open MPI 4 or newer is needed", path, text);
    }
    return CAM_OK;
}

size_t mpirun_words(const struct mpirun *mpirun, const char *ranks, const char *scratch,
                    const char *words[MPIRUN_WORDS_MAX])
{
    const struct dialect *dialect = dialect_of(mpirun->major);
    size_t count = 0;
    assert(dialect != NULL); /* mpirun_examine has refused other versions */
    words[count++] = mpirun->path;
    words[count++] = "-n";
    words[count++] = ranks;
    for (size_t i = 0; i < dialect->count; i++) {
        words[count++] = dialect->words[i] == SCRATCH ? scratch : dialect->words[i];
    }
    return count;
}
