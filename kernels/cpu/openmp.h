/*
 * The two functions of libgomp that fix how many threads oneDNN uses.  Declared here, since
 * oneDNN is built on libgomp whatever compiler builds this: -fopenmp under clang would link LLVM's
 * runtime, and set the count of the wrong one.
 */
#ifndef CPU_OPENMP_H
#define CPU_OPENMP_H

void omp_set_num_threads(int count);
int omp_get_max_threads(void);
void omp_set_dynamic(int dynamic);

#endif
