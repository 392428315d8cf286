"""The cold path: one process that keeps records, the audit trail and the settings, and answers the admin port."""
