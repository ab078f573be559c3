"""The command in tfseg/commands/check_data.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("check_data")
