"""What developers run: the demo, a full local Airflow, its requirements. Not part of the wheel."""
