module bench;
  logic [31:0] address;
  logic        access, write;
  logic        select_rom, select_ram, select_uart, select_gpio, bus_error;

  address_decoder dut (
    .address(address), .access(access), .write(write), .select_rom(select_rom), .select_ram(select_ram),
    .select_uart(select_uart), .select_gpio(select_gpio), .bus_error(bus_error)
  );

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [31:0] first[0:3], last[0:3], start;
  logic [4:0]  want;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic try(input logic [31:0] where);
    for (int kind = 0; kind < 4; kind++) begin
      address = where;
      {access, write} = kind[1:0];
      want = 5'd0;
      if (access) begin
        want = 5'b10000;
        for (int r = 0; r < 4; r++) begin
          if (where >= first[r] && where <= last[r] && !(r == 0 && write)) want = 5'd1 << r;
        end
      end
      #1 check("outputs", {bus_error, select_gpio, select_uart, select_ram, select_rom}, want);
    end
  endtask

  initial begin
    first[0] = 32'h0000_0000;
    last[0] = 32'h0000_3fff;
    first[1] = 32'h2000_0000;
    last[1] = 32'h2000_9fff;
    first[2] = 32'h4000_0000;
    last[2] = 32'h4000_001f;
    first[3] = 32'h4000_0100;
    last[3] = 32'h4000_010f;
    for (int r = 0; r < 4; r++) begin
      try(first[r] - 1);
      try(first[r]);
      try(last[r]);
      try(last[r] + 1);
      start = first[r];
      repeat (50) try(start + random() % (last[r] - start + 1));
      for (int b = 0; b < 32; b++) try(start ^ (32'd1 << b));
    end
    repeat (300) try(random());
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
