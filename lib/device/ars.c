/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks a bus, by libndctl, what its last scrub found. */

#include <errno.h>
#include <stdlib.h>

#include <linux/ndctl.h>
#include <ndctl/libndctl.h>

#include "ars.h"
#include "topology.h"

/* As the kernel takes them: a range that the bus scrubs not at all is no failure. */
static int judge_capability(struct ndctl_cmd *capability)
{
	unsigned int status = ndctl_cmd_get_firmware_status(capability);

	if ((status & ARS_STATUS_MASK) == 1)
		return -EOPNOTSUPP;
	if (status & ARS_STATUS_MASK)
		return -EIO;
	return status >> ARS_EXT_STATUS_SHIFT & (ND_ARS_VOLATILE | ND_ARS_PERSISTENT) ? 0
										      : -EOPNOTSUPP;
}

/* Return: 0, -errno. */
static int ask_capability(const struct pmr_device *device, struct ndctl_cmd **capability)
{
	struct ndctl_cmd *cmd;
	int ret;

	if (!ndctl_bus_is_cmd_supported(pmr_bus_of(device), ND_CMD_ARS_STATUS))
		return -EOPNOTSUPP;
	ret = pmr_capability_ask(device, &cmd);
	if (ret)
		return ret;
	ret = judge_capability(cmd);
	if (ret) {
		ndctl_cmd_unref(cmd);
		return ret;
	}
	*capability = cmd;
	return 0;
}

/* libndctl believes each number of records, and then reads past the end of what it asked for. */
static uint64_t room(struct ndctl_cmd *capability)
{
	uint64_t size = ndctl_cmd_ars_cap_get_size(capability);
	size_t head = sizeof(struct nd_cmd_ars_status);

	return size > head ? (size - head) / sizeof(struct nd_ars_record) : 0;
}

static int take_records(struct ndctl_cmd *status, uint64_t most, struct pmr_ars_answer *answer)
{
	size_t n;

	answer->told = ndctl_cmd_ars_num_records(status);
	n = (size_t)(answer->told < most ? answer->told : most);
	if (!n)
		return 0;
	answer->records = calloc(n, sizeof(*answer->records));
	if (!answer->records)
		return -ENOMEM;
	answer->n_records = n;
	for (size_t i = 0; i < n; i++)
		answer->records[i] = (struct pmr_range){
			.offset = ndctl_cmd_ars_get_record_addr(status, (unsigned int)i),
			.length = ndctl_cmd_ars_get_record_len(status, (unsigned int)i),
		};
	return 0;
}

static int ask_status(struct ndctl_cmd *capability, struct pmr_ars_answer *answer)
{
	struct ndctl_cmd *status = ndctl_bus_cmd_new_ars_status(capability);
	int ret;

	/* it says the same of what it has no memory for, and of a capability that makes no sense */
	if (!status) {
		answer->error = -EPROTO;
		return 0;
	}
	answer->is_of_bus = true;
	ret = ndctl_cmd_submit(status);
	if (ret < 0)
		answer->error = ret;
	else
		answer->status = ndctl_cmd_get_firmware_status(status);
	answer->is_cut = ret >= 0 && ndctl_cmd_ars_stat_get_flag_overflow(status) > 0;
	ret = ret < 0 ? 0 : take_records(status, room(capability), answer);
	ndctl_cmd_unref(status);
	return ret;
}

int pmr_ars_ask(const struct pmr_device *device, struct pmr_ars_answer *answer)
{
	struct pmr_ars_answer made = { 0 };
	struct ndctl_cmd *capability = NULL;
	int ret = 0;

	made.error = ask_capability(device, &capability);
	if (made.error == -ENOMEM)
		return -ENOMEM;
	if (!made.error)
		ret = ask_status(capability, &made);
	if (capability)
		ndctl_cmd_unref(capability);
	if (ret)
		return ret;
	*answer = made;
	return 0;
}
