"""The second change, for maintainers who want it: evaluation by (user, request).

RecBole ranks the catalogue once for each user. With the setting ``query_fields`` a dataset
says what makes up a query instead; the evaluation dataloader ranks for each query, and
everything else stays. What moves is :class:`QueryDataset`; :data:`CORE` are the lines of
RecBole's dataloader that change.
"""

import numpy as np

from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction


class QueryDataset(Dataset):
    r"""A dataset that is evaluated by query, if ``config["query_fields"]`` is set.

    ``query_fields`` are token columns of ``.inter``, the user first: interactions that
    agree in all of them are the positives of one query. Where it is not set, nothing
    changes.

    Attributes:
        query_field (str): The column of ``inter_feat`` that numbers the queries of a
            validation or test dataset, or None.
        query_feat (Interaction): The query fields of each query.
    """

    query_field = None

    def build(self):
        datasets = super(QueryDataset, self).build()
        if self.config["query_fields"]:
            for dataset in datasets[1:]:
                dataset._number_queries(self.config["query_fields"])
        return datasets

    def _number_queries(self, fields):
        self.query_field = "query_id"
        columns = np.stack([self.inter_feat[field].numpy() for field in fields], axis=1)
        queries, index = np.unique(columns, axis=0, return_inverse=True)
        self.query_feat = Interaction(dict(zip(fields, queries.T)))
        self.inter_feat.update(Interaction({self.query_field: index.reshape(-1)}))

    def used_before(self, used_ids):
        r"""The items that each user has used before the phase.

        Args:
            used_ids (numpy.ndarray): A set of items per user, those of the phase among them

        Returns:
            numpy.ndarray: the same without those of the phase, shape: [user_num]
        """
        before = np.array([set(items) for items in used_ids])
        users, items = (
            self.inter_feat[field] for field in (self.uid_field, self.iid_field)
        )
        for user, item in zip(users.numpy(), items.numpy()):
            before[user].discard(item)
        return before

    def join(self, df):
        if self.query_field is None or self.query_field not in df:
            return super(QueryDataset, self).join(df)
        query = self.query_feat[df[self.query_field]]
        df.update(query)
        df = super(QueryDataset, self).join(df)
        df.update(query)  # features of the user do not replace those of the query
        return df


#: File: pairs (RecBole's lines, the changed ones).
CORE = {
    "recbole/data/dataloader/general_dataloader.py": (
        (
            "            user_num = dataset.user_num\n"
            "            self.uid_list = []\n"
            "            self.uid2items_num = np.zeros(user_num, dtype=np.int64)\n"
            "            self.uid2positive_item = np.array([None] * user_num)\n",
            "            # a row to rank is a user, or a query of the dataset\n"
            '            self.row_field = getattr(dataset, "query_field", None)\n'
            "            self.row_field = self.row_field or self.uid_field\n"
            "            user_num = int(dataset.inter_feat[self.row_field].max()) + 1\n"
            "            self.uid_list = []\n"
            "            self.uid2items_num = np.zeros(user_num, dtype=np.int64)\n"
            "            self.uid2positive_item = np.array([None] * user_num)\n",
        ),
        (
            "            dataset.sort(by=self.uid_field, ascending=True)\n"
            "            last_uid = None\n",
            "            dataset.sort(by=self.row_field, ascending=True)\n"
            "            last_uid = last_user = None\n",
        ),
        (
            "            uid2used_item = sampler.used_ids\n",
            "            uid2used_item = sampler.used_ids\n"
            "            if self.row_field != self.uid_field:\n"
            "                # what a user takes for another request is still a candidate\n"
            "                uid2used_item = dataset.used_before(uid2used_item)\n",
        ),
        (
            "            for uid, iid in zip(\n"
            "                dataset.inter_feat[self.uid_field].numpy(),\n",
            "            for uid, user, iid in zip(\n"
            "                dataset.inter_feat[self.row_field].numpy(),\n"
            "                dataset.inter_feat[self.uid_field].numpy(),\n",
        ),
        (
            "                        last_uid, uid2used_item[last_uid], positive_item\n"
            "                    )\n"
            "                    last_uid = uid\n",
            "                        last_uid, uid2used_item[last_user], positive_item\n"
            "                    )\n"
            "                    last_uid, last_user = uid, user\n",
        ),
        (
            "            self._set_user_property(last_uid, uid2used_item[last_uid], "
            "positive_item)\n",
            "            self._set_user_property(last_uid, uid2used_item[last_user], "
            "positive_item)\n",
        ),
        (
            "dataset.join(Interaction({self.uid_field: self.uid_list}))\n",
            "dataset.join(Interaction({self.row_field: self.uid_list}))\n",
        ),
        (
            "            uid_list = list(user_df[self.uid_field])\n",
            "            uid_list = list(user_df[self.row_field])\n",
        ),
    ),
}
