/*
 * LD_PRELOADed under a worker: counts heap requests by the library that makes them.
 * At exit, one line a library is appended to the file named by COUNT_MALLOC_FILE:
 * "PID LIBRARY REQUESTS BYTES".  The table is fixed, so that counting takes no heap itself.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The C library's own names for what is replaced here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);

enum { PLACES = 1 << 14, LIBRARIES_MAX = 64, NAME_SIZE = 256 };

struct place {
    _Atomic uintptr_t caller;
    atomic_ulong requests;
    atomic_ulong bytes;
};

static struct place places[PLACES];

static void count(const void *caller, size_t bytes)
{
    uintptr_t address = (uintptr_t)caller;
    size_t slot = (address * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - 14);
    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &places[(slot + i) % PLACES];
        uintptr_t known = 0;
        if (atomic_load(&place->caller) == address ||
            atomic_compare_exchange_strong(&place->caller, &known, address) || known == address) {
            atomic_fetch_add(&place->requests, 1);
            atomic_fetch_add(&place->bytes, bytes);
            return;
        }
    }
}

void *malloc(size_t size)
{
    count(__builtin_return_address(0), size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(__builtin_return_address(0), number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
    count(__builtin_return_address(0), size);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count(__builtin_return_address(0), size);
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    count(__builtin_return_address(0), size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    count(__builtin_return_address(0), size);
    *out = __libc_memalign(alignment, size);
    return *out == NULL ? ENOMEM : 0;
}

struct library {
    char name[NAME_SIZE];
    unsigned long requests;
    unsigned long bytes;
};

static struct library libraries[LIBRARIES_MAX];

static struct library *library_of(uintptr_t address)
{
    Dl_info info;
    const char *name = "?";
    if (dladdr((void *)address, &info) != 0 && info.dli_fname != NULL) {
        const char *slash = strrchr(info.dli_fname, '/');
        name = slash == NULL ? info.dli_fname : slash + 1;
    }
    for (int i = 0; i < LIBRARIES_MAX - 1; i++) {
        if (libraries[i].name[0] == '\0') {
            (void)snprintf(libraries[i].name, NAME_SIZE, "%s", name);
        }
        if (strcmp(libraries[i].name, name) == 0) {
            return &libraries[i];
        }
    }
    return &libraries[LIBRARIES_MAX - 1];
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("COUNT_MALLOC_FILE");
    FILE *file = path == NULL ? NULL : fopen(path, "ae");
    for (size_t i = 0; i < PLACES; i++) {
        uintptr_t caller = atomic_load(&places[i].caller);
        if (caller != 0) {
            struct library *library = library_of(caller);
            library->requests += atomic_load(&places[i].requests);
            library->bytes += atomic_load(&places[i].bytes);
        }
    }
    for (int i = 0; file != NULL && i < LIBRARIES_MAX && libraries[i].name[0] != '\0'; i++) {
        (void)fprintf(file, "%d %s %lu %lu\n", (int)getpid(), libraries[i].name,
                      libraries[i].requests, libraries[i].bytes);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}
