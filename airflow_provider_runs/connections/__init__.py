"""From an Airflow connection to settings: what each type holds, checked and ready to use."""
