/*
 * What the backend of a name does with plans, known without opening it: `cambrian check` plans for
 * machines that it does not run on.  A test holds this table against what the backends say.
 */
#ifndef TARGET_H
#define TARGET_H

#include "model/graph/graph.h"

struct plan_target {
    const char *backend;
    bool fuses;            /* runs fused programs */
    bool macros[OP_COUNT]; /* macro operators with a kernel of their own */
};

/* Of "reference", "cpu"; NULL for a name that is none. */
const struct plan_target *plan_target(const char *backend);

#endif
