"""What a run will be: faults of its data, requests, memory, time and price, before anything is paid for."""
