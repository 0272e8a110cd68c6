return await VmShunt.Tool.ToolCommandLine.InvokeAsync(args);
