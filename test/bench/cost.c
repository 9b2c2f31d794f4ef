/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cost RESULT COMMAND...: what a command costs: "milliseconds KiB status" to the file RESULT.
 *
 * Of a program started by a large one the kernel counts the memory of the one that started it, too: this one is small.
 */
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double begin, took;
	int status;
	FILE *out;
	pid_t pid;

	if (argc < 3)
		errx(2, "usage: cost RESULT COMMAND...");
	begin = now();
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "wait");
	took = now() - begin;
	out = fopen(argv[1], "we");
	if (!out ||
	    fprintf(out, "%.3f %ld %d\n", took, usage.ru_maxrss,
		    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)) < 0 ||
	    fclose(out))
		err(1, "%s", argv[1]);
	return 0;
}
