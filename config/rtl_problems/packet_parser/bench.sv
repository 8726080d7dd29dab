module bench;
  logic       clk = 0;
  logic       rst, in_valid, out_valid, packet_good, packet_bad;
  logic [7:0] in_data, out_data;

  packet_parser dut (
    .clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .out_valid(out_valid), .out_data(out_data),
    .packet_good(packet_good), .packet_bad(packet_bad)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] sum;
  int         length;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // one byte, perhaps after a pause, and what it must cause: 0 nothing, 1 payload, 2 good, 3 bad
  task automatic send(input logic [7:0] value, input int effect);
    if (random() % 4 == 0) begin
      in_valid = 0;
      in_data = 8'ha5;
      @(negedge clk);
      check("outputs in a pause", {out_valid, packet_good, packet_bad}, 3'b000);
    end
    in_valid = 1;
    in_data = value;
    @(negedge clk);
    check("out_valid", out_valid, effect == 1);
    if (effect == 1) check("out_data", out_data, value);
    check("packet_good", packet_good, effect == 2);
    check("packet_bad", packet_bad, effect == 3);
    in_valid = 0;
  endtask

  // a packet whose payload contains start bytes; a correct check sum if damage is 0
  task automatic packet(input int n, input logic [7:0] damage);
    send(8'ha5, 0);
    send(8'(n), 0);
    sum = 8'(n);
    for (int i = 0; i < n; i++) begin
      in_data = random() % 4 == 0 ? 8'ha5 : 8'(random());
      sum += in_data;
      send(in_data, 1);
    end
    send(8'd0 - sum + damage, damage == 0 ? 2 : 3);
  endtask

  task automatic reset;
    rst = 1;
    in_valid = 1;
    in_data = 8'ha5;
    @(negedge clk);
    check("outputs in reset", {out_valid, packet_good, packet_bad}, 3'b000);
    rst = 0;
    in_valid = 0;
  endtask

  initial begin
    reset();
    send(8'h00, 0);
    send(8'h01, 0);
    for (int n = 1; n <= 16; n++) packet(n, 8'd0);
    packet(1, 8'd1);
    packet(16, 8'h80);
    for (int n = 17; n < 256; n += (n < 20 ? 1 : 12)) begin
      send(8'ha5, 0);
      send(8'(n), 3);
    end
    send(8'ha5, 0);
    send(8'h00, 3);
    send(8'ha5, 0);
    send(8'ha5, 3);  // 165 is no length, and starts no packet
    send(8'h03, 0);
    packet(3, 8'd0);
    send(8'ha5, 0);
    send(8'h04, 0);
    send(8'h11, 1);
    reset();
    packet(4, 8'd0);
    repeat (200) begin
      repeat (random() % 3) send(8'(random() % 128), 0);
      packet(int'(random() % 16) + 1, random() % 4 == 0 ? 8'(random()) : 8'd0);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
