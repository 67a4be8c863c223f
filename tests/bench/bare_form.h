/*
 * Candidates for one product of a plan; inside tests/bench/bare*.c only.
 */
#ifndef BARE_FORM_H
#define BARE_FORM_H

#include "kernels/cpu/dnn.h"

enum { BARE_FORMS = 5 };

/* Matrix products that a step consists of: `times` of (count,M,K)(count,K,N). */
struct bare_matmul {
    int64_t times;
    int64_t count;
    int64_t m;
    int64_t n;
    int64_t k;
    bool transpose_a;
    bool transpose_b;
};

enum { BARE_MATMULS_MAX = 5 };

/* The products of a matmul or macro; 0: it has none. */
int bare_matmuls_of(const struct plan *plan, const struct plan_step *step,
                    struct bare_matmul out[BARE_MATMULS_MAX]);

/* NULL past the last. */
const char *bare_conv_form(int form);
const char *bare_matmul_form(int form); /* form 0 is sgemm, which is no primitive */

/* Fills call: arguments are the scratchpad, two inputs and the output.  dnnl_unimplemented where
 * the library has no such form. */
dnnl_status_t bare_conv_create(const struct plan *plan, const struct plan_step *step, int form,
                               dnnl_engine_t engine, struct dnn_call *call);
dnnl_status_t bare_matmul_create(const struct bare_matmul *matmul, int form, dnnl_engine_t engine,
                                 struct dnn_call *call);

#endif
